use tempfile::TempDir;

use super::*;
use crate::sink::example::event;
use penstock_proto::event::Event;

fn paths_of(read: Option<(Vec<Bytes>, Position)>) -> Vec<String> {
    read.map(|(events, _)| paths(&events)).unwrap_or_default()
}

fn paths(events: &[Bytes]) -> Vec<String> {
    events.iter().map(|event| Event::from_bytes(event).unwrap().path).collect()
}

fn written(path: &str) -> Bytes {
    event(path).to_bytes().into()
}

#[test]
fn what_was_appended_is_read_in_order_and_forgotten_when_stored() {
    let dir = TempDir::new().unwrap();
    let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
    spool.append(&[written("/1"), written("/2"), written("/3")]).unwrap();
    let (first, position) = spool.read(2).unwrap().unwrap();
    assert_eq!(paths(&first), ["/1", "/2"]);
    assert_eq!(paths_of(spool.read(1).unwrap()), ["/1"], "nothing is forgotten before it is stored");
    spool.forget(&position);
    let (rest, position) = spool.read(9).unwrap().unwrap();
    assert_eq!(paths(&rest), ["/3"]);
    spool.forget(&position);
    assert_eq!((spool.bytes(), fs::read_dir(dir.path()).unwrap().count()), (0, 0));
    assert!(spool.read(9).unwrap().is_none());
}

#[test]
fn events_survive_the_end_of_the_process() {
    let dir = TempDir::new().unwrap();
    Spool::open(dir.path(), 1 << 20).unwrap().append(&[written("/old")]).unwrap();
    let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
    spool.append(&[written("/new")]).unwrap();
    let (events, position) = spool.read(9).unwrap().unwrap();
    assert_eq!(paths(&events), ["/old"]);
    spool.forget(&position);
    assert_eq!(paths_of(spool.read(9).unwrap()), ["/new"]);
}

#[test]
fn a_record_cut_off_by_a_crash_ends_its_segment_and_costs_only_itself() {
    let dir = TempDir::new().unwrap();
    Spool::open(dir.path(), 1 << 20).unwrap().append(&[written("/whole"), written("/cut")]).unwrap();
    let file = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
    spool.append(&[written("/later")]).unwrap();
    let (events, position) = spool.read(9).unwrap().unwrap();
    assert_eq!(paths(&events), ["/whole"]);
    spool.forget(&position);
    assert_eq!(paths_of(spool.read(9).unwrap()), ["/later"]);
}

#[test]
fn a_changed_byte_is_noticed() {
    let dir = TempDir::new().unwrap();
    Spool::open(dir.path(), 1 << 20).unwrap().append(&[written("/a")]).unwrap();
    let file = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    assert!(Spool::open(dir.path(), 1 << 20).unwrap().read(9).unwrap().is_none());
}

#[test]
fn a_full_spool_drops_its_oldest_segment_and_counts_what_was_in_it() {
    let dir = TempDir::new().unwrap();
    let mut spool = Spool::open(dir.path(), 1).unwrap();
    spool.append(&[written("/1"), written("/2")]).unwrap();
    assert_eq!(spool.dropped(), 0, "the segment being written is never dropped");
    spool.writer = None;
    spool.append(&[written("/3")]).unwrap();
    assert_eq!((spool.dropped(), paths_of(spool.read(9).unwrap())), (2, vec!["/3".to_owned()]));
}

#[test]
fn what_another_version_wrote_is_read() {
    // Of the first version, but for a field of the future (number 999) at its end.
    let event = event("/v1/messages");
    let mut payload = vec![1];
    payload.extend(event.to_bytes());
    payload.extend([0xb8, 0x3e, 7]);
    let mut crc = flate2::Crc::new();
    crc.update(&payload);
    let length = u32::try_from(payload.len()).unwrap();
    let record = [&length.to_le_bytes(), &crc.sum().to_le_bytes(), payload.as_slice()].concat();
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("events-00000000000000000007.spool"), record).unwrap();
    let (events, _) = Spool::open(dir.path(), 1 << 20).unwrap().read(9).unwrap().unwrap();
    assert_eq!(Event::from_bytes(&events[0]).unwrap(), event);
}
