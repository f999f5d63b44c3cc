//! However large an answer or hostile its bytes, reading it takes a bounded amount of memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use penstock_llm::commit::CommitDetector;
use penstock_llm::usage::{Endpoint, Shape, Tap};
use penstock_proto::dialect::Dialect;

/// What wire.md 6.7 allows.
const LIMIT: usize = 128 * 1024;

/// Sent in each case, in chunks as a socket gives them.
const SENT: usize = 192 * 1024;

/// Counts the bytes that are allocated now, and the most that ever were.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator has no safe form; this one only counts")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's layout, as it came.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's place and layout, as they came.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory that `read` takes at once, beyond what there is before it.
fn most(read: impl FnOnce()) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    read();
    MOST.load(Ordering::Relaxed) - before
}

#[test]
fn a_tap_and_a_detector_stay_below_their_limit_whatever_arrives() {
    const DIALECTS: [Dialect; 3] =
        [Dialect::AnthropicMessages, Dialect::OpenaiChat, Dialect::OpenaiResponses];
    let beginnings = [
        "data: ",
        "event: ",
        "",
        "data: {\"type\":\"response.completed\",\"response\":{\"usage\":{",
        "data: {\"type\":\"error\",\"error\":{\"message\":\"",
        "data: {\"message\":{\"usage\":[",
        "{\"error\":{\"message\":\"",
        "{\"usage\":",
    ];
    let fillings = ["x", "[", "{\"a\":", "\"a\":1,", "\"model\":\"m\",", "data: {\"a\":1}\n", "\\\"", "é"];
    for (beginning, filling) in beginnings.iter().flat_map(|a| fillings.iter().map(move |b| (a, b))) {
        let chunk = filling.repeat(4 * 1024 / filling.len());
        for (dialect, shape) in DIALECTS.iter().flat_map(|d| [(*d, Shape::Stream), (*d, Shape::Json)]) {
            let taken = most(|| {
                let mut tap = Tap::new(Some(dialect), Some(shape), Endpoint::Create);
                let mut detector = CommitDetector::new(Some(dialect));
                tap.push(beginning.as_bytes());
                detector.push(beginning.as_bytes());
                for _ in 0..SENT / chunk.len() {
                    tap.push(chunk.as_bytes());
                    detector.push(chunk.as_bytes());
                }
                tap.finish();
                drop(tap.reading());
            });
            assert!(
                taken < LIMIT,
                "{taken} bytes for {beginning:?} and {filling:?} as {dialect:?} {shape:?}"
            );
        }
    }
}
