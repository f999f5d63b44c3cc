//! Prints the management API's OpenAPI document, for `make openapi`.

fn main() -> anyhow::Result<()> {
    println!("{}", penstock_controller::api::openapi().to_pretty_json()?);
    Ok(())
}
