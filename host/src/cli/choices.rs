//! What can be chosen by name on the command line: services, models, formats, questions.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::bench::Question;
use crate::log::Format;
use crate::server::{Model, Service};

impl ValueEnum for Service {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
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

impl ValueEnum for Question {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Messages, Self::Connects, Self::Files, Self::Fairness, Self::Memory, Self::Syscalls]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Messages => ("messages", "processor time of a message, under `upper`"),
            Self::Connects => ("connects", "processor time of a connection, under `time`"),
            Self::Files => ("files", "processor time of a MiB of a file, by the size of frames"),
            Self::Fairness => ("fairness", "replies on the luckiest and the unluckiest connection"),
            Self::Memory => ("memory", "private memory of an idle connection"),
            Self::Syscalls => ("syscalls", "system calls of a message, counted by strace"),
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
