//! The `chancery` binary.

fn main() -> std::process::ExitCode {
    engine::command::main::main()
}
