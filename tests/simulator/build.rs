//! Compiles the simulator's own protobufs; protox needs no system compiler.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/wa.proto");
    let files = protox::compile(["proto/wa.proto"], ["proto"])?;
    prost_build::Config::new().compile_fds(files)?;
    Ok(())
}
