//! What is asked.

use super::Url;

/// The request for `url`, to be sent as it is.
///
/// It asks for the bytes as they are, because they are written as they come, and for the end of the
/// connection, because nothing else is asked on it.
pub fn get(url: &Url) -> String {
    let authorization = url.authorization();
    let authorization = authorization.map(|login| format!("Authorization: {login}\r\n"));
    format!(
        "GET {target} HTTP/1.1\r\n\
         Host: {host}\r\n\
         User-Agent: windlass/{version}\r\n\
         Accept: */*\r\n\
         Accept-Encoding: identity\r\n\
         {authorization}Connection: close\r\n\
         \r\n",
        target = url.target(),
        host = url.host(),
        version = env!("CARGO_PKG_VERSION"),
        authorization = authorization.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_one_head_and_nothing_else() {
        let url = Url::parse("http://[::1]:8080/a%20b?q#f").unwrap();
        let expected = concat!(
            "GET /a%20b?q HTTP/1.1\r\n",
            "Host: [::1]:8080\r\n",
            "User-Agent: windlass/",
            env!("CARGO_PKG_VERSION"),
            "\r\n",
            "Accept: */*\r\n",
            "Accept-Encoding: identity\r\n",
            "Connection: close\r\n\r\n",
        );
        assert_eq!(get(&url), expected);
    }
}
