//! Nothing boots these images: the entry is all that the linker needs to know.
fn main() {
    println!("cargo:rustc-link-arg-bins=--entry=start");
}
