//! Reads values of the configuration by the rules of the command line.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::values::{
    Micros, PortRange, field_value, file_mode, log_to, request_limit, socket_file,
};
use crate::addr::Address;
use crate::network::{Balancer, Network};
use crate::printable::printable;
use crate::server::{Admission, LogTo, WORKERS_MAX};
use crate::sys::user::group_id;

/// A service or a model, by its name.
pub(super) fn choice<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: ValueEnum,
    D: Deserializer<'de>,
{
    let name = String::deserialize(from)?;
    T::from_str(&name, false).map(Some).map_err(|_| {
        let names = T::value_variants().iter().filter_map(T::to_possible_value);
        let names: Vec<_> = names.map(|value| value.get_name().to_owned()).collect();
        D::Error::custom(format!("\"{}\" is not one of {}", printable(&name), names.join(", ")))
    })
}

/// Reads one address, or an array of them.
pub(super) fn addresses<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Address>, D::Error> {
    one_or_many(from)
}

/// Reads one network, or an array of them.
pub(super) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Network>, D::Error> {
    one_or_many(from)
}

/// Reads one balancer, or an array of them.
pub(super) fn balancers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Balancer>, D::Error> {
    one_or_many(from)
}

fn one_or_many<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected an address, or an array of addresses")]
    enum Texts {
        One(String),
        Many(Vec<String>),
    }
    let texts = match Texts::deserialize(from)? {
        Texts::One(text) => vec![text],
        Texts::Many(texts) => texts,
    };
    texts.iter().map(|text| parse(text)).collect()
}

fn parse<T: FromStr<Err: Display>, E: Error>(text: &str) -> Result<T, E> {
    text.parse().map_err(|error| E::custom(format!("\"{}\": {error}", printable(text))))
}

/// The path of a socket file.
pub(super) fn socket<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    socket_file(PathBuf::deserialize(from)?).map(Some).map_err(D::Error::custom)
}

/// Where an access log goes.
pub(super) fn log_target<'de, D: Deserializer<'de>>(from: D) -> Result<Option<LogTo>, D::Error> {
    log_to(&String::deserialize(from)?).map(Some).map_err(D::Error::custom)
}

/// The value of a field of HTTP.
pub(super) fn field<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    field_value(&String::deserialize(from)?).map(Some).map_err(D::Error::custom)
}

/// The time that a whole request may take.
pub(super) fn seconds_of_a_request<'de, D>(from: D) -> Result<Option<Micros>, D::Error>
where
    D: Deserializer<'de>,
{
    request_limit(Micros::deserialize(from)?).map(Some).map_err(D::Error::custom)
}

/// The permissions of a file: text, since the numbers of TOML are decimal.
pub(super) fn mode<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let text = String::deserialize(from)?;
    let wrong = |error| D::Error::custom(format!("\"{}\": {error}", printable(&text)));
    file_mode(&text).map(Some).map_err(wrong)
}

/// The number of a group, by its name.
pub(super) fn group<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    group_id(&String::deserialize(from)?).map(Some).map_err(D::Error::custom)
}

/// Bytes of a block of `tftp`.
pub(super) fn block_size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    match i64::deserialize(from)? {
        bytes @ 8..=65464 => Ok(u16::try_from(bytes).ok()),
        number => Err(D::Error::custom(format!("{number} is not from 8 to 65464"))),
    }
}

/// Ports, as the command line has them.
pub(super) fn port_range<'de, D>(from: D) -> Result<Option<PortRange>, D::Error>
where
    D: Deserializer<'de>,
{
    parse(&String::deserialize(from)?).map(Some)
}

/// A number from 1.
pub(super) fn positive<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    at_most(from, u64::MAX)
}

/// A number of workers.
pub(super) fn within_workers<'de, D>(from: D) -> Result<Option<u16>, D::Error>
where
    D: Deserializer<'de>,
{
    at_most(from, u64::from(WORKERS_MAX))
}

/// The places of a client.
pub(super) fn places<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    at_most(from, u64::from(Admission::PER_CLIENT_MAX))
}

/// A rate.
pub(super) fn bytes_per_second<'de, D>(from: D) -> Result<Option<u32>, D::Error>
where
    D: Deserializer<'de>,
{
    between(from, u64::from(Admission::RATE_MIN), u64::MAX)
}

fn at_most<'de, T, D>(from: D, most: u64) -> Result<Option<T>, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    between(from, 1, most)
}

fn between<'de, T, D>(from: D, least: u64, most: u64) -> Result<Option<T>, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    let number = i64::deserialize(from)?;
    let most = most.min(u64::MAX >> (64 - 8 * size_of::<T>()));
    let fits = u64::try_from(number).ok().filter(|number| (least..=most).contains(number));
    let value = fits.and_then(|number| T::try_from(number).ok());
    let wrong = || D::Error::custom(format!("{number} is not from {least} to {most}"));
    value.map(Some).ok_or_else(wrong)
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        f64::deserialize(from)?.try_into().map_err(D::Error::custom)
    }
}
