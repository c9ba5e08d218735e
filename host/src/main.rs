//! The `windlass` program. All of it is in the library: [`windlass::cli`].

fn main() -> std::process::ExitCode {
    windlass::cli::main()
}
