//! Certificates that change, and what is wrong with files.

use std::os::unix::fs::PermissionsExt;

use windlass_certs::{Authority, Certificate, Validity};

use super::*;

struct Place(tempfile::TempDir);

impl Place {
    fn new(pair: &Certificate) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write(pair);
        place
    }

    fn write(&self, Certificate { cert, key }: &Certificate) {
        fs::write(self.files().cert, cert).unwrap();
        fs::write(self.files().key, key).unwrap();
        fs::set_permissions(self.files().key, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn files(&self) -> CertFiles {
        CertFiles { cert: self.0.path().join("cert.pem"), key: self.0.path().join("key.pem") }
    }
}

fn issue(validity: Validity) -> Certificate {
    Authority::new().issue(&["localhost"], validity)
}

#[test]
fn a_certificate_and_its_key_change_together_or_not_at_all() {
    let place = Place::new(&issue(Validity::Now));
    let credentials = Credentials::read(place.files(), &[]).unwrap();
    let first = credentials.current().chain;
    assert!(!credentials.renew(), "nothing has changed");
    let second = issue(Validity::Now);
    fs::write(place.files().cert, &second.cert).unwrap();
    assert!(!credentials.renew(), "the key is that of the first");
    fs::write(place.files().key, &second.key).unwrap();
    #[cfg(feature = "supervise")]
    assert!(credentials.has_changed());
    assert!(credentials.renew());
    assert_ne!(credentials.current().chain, first);
}

#[test]
fn the_earlier_certificate_stays_if_the_new_one_is_not_good() {
    let place = Place::new(&issue(Validity::Now));
    let credentials = Credentials::read(place.files(), &[]).unwrap();
    let first = credentials.current().chain;
    for validity in [Validity::Over, Validity::Later] {
        place.write(&issue(validity));
        assert!(!credentials.renew(), "{validity:?}");
    }
    fs::write(place.files().cert, "no PEM").unwrap();
    assert!(!credentials.renew());
    fs::remove_file(place.files().cert).unwrap();
    assert!(!credentials.renew());
    assert_eq!(credentials.current().chain, first);
}

#[test]
fn what_is_wrong_is_named() {
    let place = Place::new(&issue(Validity::Now));
    let why = |place: &Place| Credentials::read(place.files(), &[]).unwrap_err().to_string();
    let is_said = |said: &str, parts: [&str; 2]| {
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    };
    fs::write(place.files().key, issue(Validity::Now).key).unwrap();
    is_said(&why(&place), ["key.pem", "does not belong to the certificate in"]);
    for (key, said) in [
        ("", "no private key in PEM"),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "passphrase",
        ),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
            "passphrase",
        ),
        ("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", "not supported"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n", "END"),
        ("-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n", "not Base64"),
    ] {
        fs::write(place.files().key, key).unwrap();
        is_said(&why(&place), ["key.pem", said]);
    }
    fs::write(place.files().cert, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    is_said(&why(&place), ["cert.pem", "END"]);
    fs::write(place.files().cert, "").unwrap();
    is_said(&why(&place), ["cert.pem", "no certificate in PEM"]);
    fs::remove_file(place.files().cert).unwrap();
    is_said(&why(&place), ["cert.pem", "No such file"]);
    fs::create_dir(place.files().cert).unwrap();
    is_said(&why(&place), ["cert.pem", "not a regular file"]);
}
