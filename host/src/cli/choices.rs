//! The names of services, models, formats and questions on the command line.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::bench::Question;
use crate::log::Format;
use crate::server::{LineFormat, Model, Service};

impl ValueEnum for Service {
    fn value_variants<'a>() -> &'a [Self] {
        Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Text => "text",
            Self::Json => "json",
        }))
    }
}

impl ValueEnum for LineFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Text => "text",
            Self::Json => "json",
        }))
    }
}

impl ValueEnum for Question {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Messages,
            Self::Connects,
            Self::Files,
            Self::Fairness,
            Self::Memory,
            Self::Syscalls,
            Self::Datagrams,
            Self::Latency,
            Self::Batches,
            Self::Flood,
            Self::Scores,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Messages => ("messages", "CPU time per message, under `upper`"),
            Self::Connects => ("connects", "CPU time per connection, under `time`"),
            Self::Files => ("files", "CPU time per MiB of a file, by the size of frames"),
            Self::Fairness => (
                "fairness",
                "replies on the connection with the most and on the one with the fewest",
            ),
            Self::Memory => ("memory", "private memory of an idle connection"),
            Self::Syscalls => ("syscalls", "system calls per message, counted by strace"),
            Self::Datagrams => ("datagrams", "CPU time per datagram, under `upper` over UDP"),
            Self::Latency => ("latency", "time from a lone datagram to its answer"),
            Self::Batches => ("batches", "system calls per datagram, counted by strace"),
            Self::Flood => {
                ("flood", "CPU time per datagram and lost datagrams of `upper`, by rate")
            }
            Self::Scores => ("scores", "the same of `score listen`"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Model {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}
