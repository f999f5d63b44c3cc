//! Events do not depend on where chunks are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use penstock_llm::sse::Framer;

type Events = Vec<(Vec<u8>, Vec<u8>, bool)>;

fn events(stream: &[u8], size: usize) -> Events {
    let mut framer = Framer::new(64);
    let mut events = Events::new();
    for chunk in stream.chunks(size) {
        framer.push(chunk, |event| events.push((event.name.to_vec(), event.data.to_vec(), event.cut)));
    }
    framer.finish(|event| events.push((event.name.to_vec(), event.data.to_vec(), event.cut)));
    events
}

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (size, stream) = (usize::from(input.0).max(1), input.1);
    assert_eq!(events(&stream, size), events(&stream, stream.len().max(1)));
});
