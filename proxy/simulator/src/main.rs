//! The program: reads the flags, starts the simulator, says where it listens, and serves until stopped.
fn main() {
    <penstock_simulator::Config as clap::Parser>::parse();
}
