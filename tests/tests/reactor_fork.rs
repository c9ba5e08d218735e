//! A loop that is forked: what the child does with it does not affect the parent.
//!
//! Played by `reactor-fork-under-test`, a program of one thread; it asserts on both sides.

use std::process::Command;

#[track_caller]
fn play(scene: &str) {
    let program = env!("CARGO_BIN_EXE_reactor-fork-under-test");
    let played = Command::new(program).arg(scene).output().expect("it starts");
    let said = String::from_utf8_lossy(&played.stderr);
    assert!(played.status.success(), "{scene}: {}\n{said}", played.status);
}

#[test]
fn a_child_that_goes_on_with_the_loop_has_events_of_its_own_and_the_parent_keeps_its() {
    play("renewed");
}

#[test]
fn a_child_that_drops_the_loop_leaves_the_parents_alone() {
    play("dropped");
}

#[test]
fn a_child_that_leaves_the_loop_where_it_is_leaves_the_parents_alone() {
    play("left");
}
