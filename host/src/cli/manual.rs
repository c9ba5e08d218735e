//! `windlass completions` and `windlass man`: the options, for a shell and for man(1).

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use super::args::Args;
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::standard;

const NAME: &str = "windlass";

/// Prints a script for `shell`.
pub(super) fn completions(shell: Shell) -> Result<()> {
    // Into memory, which is never full: the library panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), NAME, &mut script);
    standard::print_bytes(&script)
}

/// Prints the page of the program, or writes it and a page for each command into a folder.
pub(super) fn man(folder: Option<&Path>) -> Result<()> {
    if let Some(folder) = folder {
        return clap_mangen::generate_to(Args::command(), folder)
            .map_err(Error::of("write manual pages into", printable(folder)));
    }
    let mut page = Vec::new();
    Man::new(Args::command()).render(&mut page).map_err(Error::of("write", "the manual page"))?;
    standard::print_bytes(&page)
}
