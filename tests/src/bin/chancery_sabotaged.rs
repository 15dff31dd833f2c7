//! The `chancery` binary with switches that turn its controls off: `tests/sabotage` shows with it that tests go red.

fn main() -> std::process::ExitCode {
    engine::command::main::main()
}
