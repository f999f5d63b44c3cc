//! Compiles the .proto files with protox, so that no `protoc` has to be installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=control");
    let descriptors = protox::compile(["control/v1/control.proto"], ["."])?;
    tonic_prost_build::configure()
        .build_client(std::env::var_os("CARGO_FEATURE_CLIENT").is_some())
        .build_server(std::env::var_os("CARGO_FEATURE_SERVER").is_some())
        // Shared and not copied, with what waits to be sent and with what came.
        .bytes(".penstock.control.v1.EventBatch")
        .compile_fds(descriptors)?;
    Ok(())
}
