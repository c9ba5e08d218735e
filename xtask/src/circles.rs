//! Finds circles among the files of a crate: files that name items of each other, directly or through
//! further files.
//!
//! A file names an item where a path stands for it: in a private `use`, in code, in a type, in the
//! arguments of a macro. A `pub use` hands a name on and does not use it: a path that goes through it
//! counts for the file in which the item is defined, and so does one through a `use` of a parent module.
//! Tests do not count. What a path cannot show is a method of a type that another file adds to it in an
//! `impl` block of its own: the block names the type, and the call names nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item, UseTree, Visibility};

use crate::run::root;
use crate::tidy::Finding;

/// The roots of the crates that have no circles.
const CRATES: [&str; 2] = ["core/src/lib.rs", "host/src/lib.rs"];

/// The circles of the two crates.
pub(crate) fn check() -> Vec<Finding> {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).ok();
    let circles = CRATES.iter().flat_map(|lib| circles(&Crate::read(lib, &read).edges()));
    circles
        .map(|circle| (circle[0].clone(), 0, format!("a circle: {}", circle.join(" names "))))
        .collect()
}

/// Names, from the outer to the inner.
type Names = Vec<String>;

/// Which files name items of which others.
type Edges = BTreeMap<String, BTreeSet<String>>;

/// The modules of a crate; the first one is its root.
#[derive(Default)]
struct Crate(Vec<Module>);

#[derive(Default)]
struct Module {
    file: String,
    parent: usize,
    names: HashMap<String, Meaning>,
    /// What is imported as a whole.
    globs: Vec<Names>,
    /// The paths that stand for something here.
    paths: Vec<Names>,
}

/// What a name of a module stands for.
enum Meaning {
    /// An item of this module.
    Item,
    /// The module of that number.
    Module(usize),
    /// Another path, seen from here.
    Path(Names),
}

impl Crate {
    /// Reads a crate from its root file.
    fn read(file: &str, read: &impl Fn(&str) -> Option<String>) -> Self {
        let mut all = Self::default();
        all.0.push(Module { file: file.to_owned(), ..Module::default() });
        all.load(0, file, read);
        all
    }

    fn load(&mut self, module: usize, file: &str, read: &impl Fn(&str) -> Option<String>) {
        let text = read(file).unwrap_or_default();
        // A file that does not parse does not compile either, and the compiler says it better.
        let items = syn::parse_file(&text).map_or_else(|_| Vec::new(), |parsed| parsed.items);
        let stem = file.strip_suffix(".rs").unwrap_or(file);
        let folder = stem.strip_suffix("/mod").or(stem.strip_suffix("/lib")).unwrap_or(stem);
        self.take(module, folder, items, read);
    }

    /// Adds the items of a module, which has its own modules in files of `folder`.
    fn take(
        &mut self,
        module: usize,
        folder: &str,
        items: Vec<Item>,
        read: &impl Fn(&str) -> Option<String>,
    ) {
        for item in items.into_iter().filter(|item| !is_test(item)) {
            match item {
                Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    let (child, below) = (self.0.len(), format!("{folder}/{name}"));
                    self.0[module].names.insert(name, Meaning::Module(child));
                    let mut file = self.0[module].file.clone();
                    if inner.content.is_none() {
                        let flat = format!("{below}.rs");
                        file = if read(&flat).is_some() { flat } else { format!("{below}/mod.rs") };
                    }
                    self.0.push(Module { file: file.clone(), parent: module, ..Module::default() });
                    match inner.content {
                        Some((_, items)) => self.take(child, &below, items, read),
                        None => self.load(child, &file, read),
                    }
                }
                Item::Use(import) => {
                    let is_private = matches!(import.vis, Visibility::Inherited);
                    self.import(module, &mut Vec::new(), import.tree, is_private);
                }
                item => {
                    let here = &mut self.0[module];
                    here.names.extend(name(&item).map(|name| (name, Meaning::Item)));
                    paths(item.to_token_stream(), &[], &mut here.paths);
                }
            }
        }
    }

    fn import(&mut self, module: usize, before: &mut Names, tree: UseTree, is_private: bool) {
        let (last, alias) = match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(module, before, *path.tree, is_private);
                before.pop();
                return;
            }
            UseTree::Group(group) => {
                for tree in group.items {
                    self.import(module, before, tree, is_private);
                }
                return;
            }
            UseTree::Glob(_) => return self.0[module].globs.push(before.clone()),
            UseTree::Name(name) => (name.ident.to_string(), None),
            UseTree::Rename(name) => (name.ident.to_string(), Some(name.rename.to_string())),
        };
        let mut path = before.clone();
        if last != "self" || path.is_empty() {
            path.push(last);
        }
        let alias = alias.or_else(|| path.last().cloned()).unwrap_or_default();
        let here = &mut self.0[module];
        if is_private {
            here.paths.push(path.clone());
        }
        // `use self::x` and the like of what has that name already.
        here.names.entry(alias).or_insert(Meaning::Path(path));
    }

    /// The file in which the item is defined that `path` stands for in `module`. None: it stands for a
    /// module, for something of another crate, or for a variable.
    fn file_of(&self, module: usize, path: &[String], depth: usize) -> Option<&str> {
        let (first, rest) = path.split_first()?;
        let here = &self.0[module];
        match first.as_str() {
            // Imports in a circle: not of a crate that compiles.
            _ if depth > 32 => None,
            "crate" => self.file_of(0, rest, depth + 1),
            "self" => self.file_of(module, rest, depth + 1),
            "super" => self.file_of(here.parent, rest, depth + 1),
            first => match here.names.get(first) {
                Some(Meaning::Item) => Some(&here.file),
                Some(Meaning::Module(child)) => self.file_of(*child, rest, depth + 1),
                // A name that hides another one of another crate: `use log::log`.
                Some(Meaning::Path(path)) if path.first().is_some_and(|it| it == first) => None,
                Some(Meaning::Path(path)) => {
                    self.file_of(module, &[path, rest].concat(), depth + 1)
                }
                None => here.globs.iter().find_map(|glob| {
                    self.file_of(module, &[glob.as_slice(), path].concat(), depth + 1)
                }),
            },
        }
    }

    fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (number, module) in self.0.iter().enumerate() {
            let from = edges.entry(module.file.clone()).or_default();
            let files = module.paths.iter().filter_map(|path| self.file_of(number, path, 0));
            from.extend(files.filter(|file| *file != module.file).map(str::to_owned));
        }
        edges
    }
}

fn is_test(item: &Item) -> bool {
    let attributes: &[Attribute] = match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        _ => &[],
    };
    attributes.iter().any(|it| it.to_token_stream().to_string().contains("cfg (test)"))
}

fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

/// Every path in `tokens`. What stands in braces behind `before::` goes on from there.
fn paths(tokens: TokenStream, before: &[String], found: &mut Vec<Names>) {
    let mut path = before.to_vec();
    let mut tokens = tokens.into_iter().peekable();
    // The two tokens before: `.` alone is before a field or a method, which are no path; `..` is not.
    let (mut last, mut dot) = (' ', false);
    while let Some(token) = tokens.next() {
        let is_member = dot;
        dot = false;
        match token {
            TokenTree::Ident(_) if is_member => {}
            TokenTree::Ident(name) => {
                path.push(name.to_string());
                let mut goes_on = false;
                if is_joint_colon(tokens.peek()) {
                    tokens.nth(1);
                    match tokens.peek() {
                        Some(TokenTree::Ident(_)) => goes_on = true,
                        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                            paths(group.stream(), &path, found);
                            tokens.next();
                        }
                        _ => found.push(path.clone()),
                    }
                } else {
                    found.push(path.clone());
                }
                if !goes_on {
                    path = before.to_vec();
                }
            }
            TokenTree::Group(group) => paths(group.stream(), &[], found),
            TokenTree::Punct(point) => {
                dot = point.as_char() == '.' && point.spacing() == Spacing::Alone && last != '.';
                last = point.as_char();
                continue;
            }
            TokenTree::Literal(_) => {}
        }
        last = ' ';
    }
}

fn is_joint_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(colon))
        if colon.as_char() == ':' && colon.spacing() == Spacing::Joint)
}

/// A shortest circle of each set of files that reach each other.
fn circles(edges: &Edges) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut done = BTreeSet::new();
    for file in edges.keys() {
        if done.contains(file) {
            continue;
        }
        let Some(circle) = shortest(edges, file, file) else { continue };
        let together = |other: &&String| {
            shortest(edges, file, other).is_some() && shortest(edges, other, file).is_some()
        };
        done.extend(edges.keys().filter(together));
        found.push(circle);
    }
    found
}

/// The files on a shortest way from one file to another, both ends included.
fn shortest(edges: &Edges, from: &String, to: &String) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&String, &String> = BTreeMap::new();
    let mut front = vec![from];
    while !front.is_empty() && !came_from.contains_key(to) {
        let mut next = Vec::new();
        for file in front {
            for named in edges.get(file).into_iter().flatten() {
                came_from.entry(named).or_insert_with(|| {
                    next.push(named);
                    file
                });
            }
        }
        front = next;
    }
    let mut way = vec![to.clone()];
    loop {
        let before = came_from.get(way.last()?)?;
        way.push((*before).clone());
        if *before == from {
            way.reverse();
            return Some(way);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles of a crate that has these files below `src/`.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let read = |path: &str| {
            let (_, text) =
                files.iter().find(|(name, _)| path.strip_prefix("src/") == Some(name))?;
            Some((*text).to_owned())
        };
        let circles = circles(&Crate::read("src/lib.rs", &read).edges());
        circles.into_iter().map(|circle| circle.join(" ").replace("src/", "")).collect()
    }

    const TWO: (&str, &str) = ("lib.rs", "mod a; mod b;");

    #[test]
    fn a_circle_is_found_however_the_item_is_named() {
        for other in [
            "use super::b::B;",
            "use crate::b::{self, B};",
            "use super::b; fn f(it: b::B) {}",
            "fn f(it: crate::b::B) {}",
            "fn f() { g(1..crate::b::LIMIT) }",
            "fn f() { assert!(crate::b::{g, B}()) }",
            "fn f() { use super::b::B; }",
            "impl super::b::B { fn f() {} }",
            "use super::b::*; fn f(it: B) {}",
        ] {
            let a = format!("pub struct A; {other}");
            let b = "use super::a::A; pub struct B; pub const LIMIT: u8 = 1; pub fn g() {}";
            assert_eq!(found(&[TWO, ("a.rs", &a), ("b.rs", b)]), ["a.rs b.rs a.rs"], "{other}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for other in [
            "",
            "// use super::b::B;\n",
            "pub use super::b::B;",
            "use super::b;",
            "fn f(b: u8) { b.g(); c.B; }",
            "#[cfg(test)] mod tests { use super::super::b::B; }",
            "#[cfg(test)] mod tests;",
            "use other::b::B; fn f() -> B {}",
        ] {
            let a = format!("pub struct A; {other}");
            let files = [TWO, ("a.rs", &a), ("b.rs", "use super::a::A; pub struct B;")];
            assert_eq!(found(&files), Vec::<String>::new(), "{other}");
        }
    }

    #[test]
    fn a_name_counts_for_the_file_that_defines_it() {
        let module = ("a/mod.rs", "mod one; mod two; pub use one::One; use two::Two;");
        let one = ("a/one.rs", "pub struct One;");
        let root = ("lib.rs", "mod a;");
        let two = |text| [root, module, one, ("a/two.rs", text)];
        // By way of a parent that hands the name on, and of one that imports it for itself.
        assert_eq!(found(&two("pub struct Two; use super::One;")), Vec::<String>::new());
        assert_eq!(found(&two("pub struct Two; use crate::a::Two as It;")), Vec::<String>::new());
        let own = ("a/mod.rs", "mod one; mod two; pub use one::One; use two::Two; struct Own;");
        let two = ("a/two.rs", "pub struct Two; use super::Own;");
        assert_eq!(found(&[root, own, one, two]), ["a/mod.rs a/two.rs a/mod.rs"]);
        let own = ("a/mod.rs", "mod one; mod two; pub use two::Two; struct Own(Two);");
        assert_eq!(found(&[root, own, one, two]), ["a/mod.rs a/two.rs a/mod.rs"]);
    }

    #[test]
    fn each_set_of_files_is_told_once_by_its_shortest_circle() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d; mod e;"),
            ("a.rs", "pub struct A; use super::b::B;"),
            ("b.rs", "pub struct B; use super::c::C;"),
            ("c.rs", "pub struct C; use super::{a::A, b::B};"),
            ("d.rs", "pub struct D; use super::{a::A, e::E};"),
            ("e.rs", "pub struct E; use super::d::D;"),
        ];
        assert_eq!(found(&files), ["a.rs b.rs c.rs a.rs", "d.rs e.rs d.rs"]);
    }
}
