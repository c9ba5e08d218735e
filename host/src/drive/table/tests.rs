//! Tokens, and the run queue.

use super::*;

#[test]
fn a_late_token_finds_nothing() {
    let mut table = Table::<&str>::default();
    let old = table.insert("old", ());
    assert_eq!(table.remove(old), Some("old"));
    assert_eq!((table.remove(old), table.get(old), table.len()), (None, None, 0));
    // Also when another thing is in its place.
    let new = table.insert("new", ());
    assert_eq!(new.index, old.index);
    assert_ne!(new, old);
    assert!(!table.promise(old));
    assert_eq!((table.remove(old), table.get(old), table.get(new)), (None, None, Some(&"new")));
}

#[test]
fn a_token_of_no_place_finds_nothing() {
    let mut table = Table::<()>::default();
    for token in [Token::LISTENER, Token::STOP, Token { index: 0, generation: 0 }] {
        assert_eq!((table.remove(token), table.get(token)), (None, None));
        assert!(!table.promise(token));
    }
    assert!(table.is_empty());
}

#[test]
fn things_are_set_aside_once_and_not_too_many() {
    let mut table = Table::default();
    let tokens: Vec<_> = (0..=ASIDE_MAX).map(|number| table.insert(number, ())).collect();
    assert!(table.set_aside(tokens[0]) && !table.set_aside(tokens[0]));
    assert_eq!((table.aside(), table.len()), (1, ASIDE_MAX + 1));
    let set_aside =
        |table: &mut Table<_>| tokens.iter().filter(|&&token| table.set_aside(token)).count();
    assert_eq!((set_aside(&mut table), table.aside()), (ASIDE_MAX - 1, ASIDE_MAX));
    // One that is gone makes room, and what has its place is not aside.
    assert_eq!(table.remove(tokens[0]), Some(0));
    let other = table.insert(7, ());
    assert_eq!((other.index, table.aside()), (0, ASIDE_MAX - 1));
    assert_eq!((set_aside(&mut table), table.set_aside(other)), (1, false));
}

#[test]
fn exactly_the_things_that_are_there_are_listed() {
    let mut table = Table::default();
    let tokens: Vec<_> = (0..5).map(|number| table.insert(number, number * 10)).collect();
    table.remove(tokens[1]);
    table.remove(tokens[4]);
    let again = table.insert(7, 70);
    assert_eq!(again.index, 4, "the place vacated last");
    *table.entry(again).unwrap().mark += 1;
    let listed: Vec<_> = table.iter().map(|(token, &thing, &mark)| (token, thing, mark)).collect();
    let expected = [(tokens[0], 0, 0), (tokens[2], 2, 20), (tokens[3], 3, 30), (again, 7, 71)];
    assert_eq!(listed, expected);
    assert_eq!(table.len(), 4);
}

#[test]
fn a_thing_joins_the_run_queue_once() {
    let mut table = Table::<()>::default();
    let token = table.insert((), ());
    assert!(!table.take_turn(token));
    assert!(table.promise(token));
    assert!(!table.promise(token), "it is in the queue already");
    assert!(table.take_turn(token));
    assert!(!table.take_turn(token));
}

#[test]
fn a_turn_that_was_called_off_and_promised_again_is_one() {
    let mut table = Table::<()>::default();
    let token = table.insert((), ());
    table.call_off(token);
    assert!(table.promise(token));
    table.call_off(token);
    assert!(!table.promise(token), "its old entry in the queue will do");
    assert!(table.take_turn(token));
    assert!(table.promise(token));
    table.call_off(token);
    assert!(!table.take_turn(token));
}

#[test]
fn a_promise_goes_with_its_thing() {
    let mut table = Table::<()>::default();
    let old = table.insert((), ());
    assert!(table.promise(old));
    table.remove(old);
    let new = table.insert((), ());
    assert!(!table.take_turn(old));
    assert!(table.promise(new), "it inherited a promise");
}
