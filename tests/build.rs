//! Builds the machine that some tests put under a node: a library in C, because it stands in the place of libc's functions.

use std::path::PathBuf;

const SOURCE: &str = "src/cluster/machine.c";

fn main() {
    println!("cargo:rerun-if-changed={SOURCE}");
    let library = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo runs this")).join("machine.so");
    let mut compiler = cc::Build::new().get_compiler().to_command();
    let compiled = compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).args([SOURCE, "-ldl"]).status();
    assert!(compiled.is_ok_and(|status| status.success()), "{SOURCE} cannot be compiled");
    println!("cargo:rustc-env=CHANCERY_MACHINE_LIBRARY={}", library.display());
}
