//! Header names as they come again and again: made once per thread, then only looked up.
//!
//! A name that `http` has no constant for costs an allocation and a walk over its letters, and a request of an SDK,
//! with its answer, has some thirty of them. Holds a bounded number; a name that is not held is made as ever.

use std::cell::RefCell;

use http::HeaderName;
use http::header::InvalidHeaderName;

/// Names held per thread: some clients and providers, each with some thirty of its own.
const HELD: usize = 256;

/// Longest name held, bytes. What is longer is not of an SDK.
const LONGEST: usize = 48;

type Held = [Option<(Box<[u8]>, HeaderName)>; HELD];

thread_local! {
    static NAMES: RefCell<Box<Held>> = RefCell::new(Box::new([const { None }; HELD]));
}

/// The name with these letters, in whatever case.
pub(crate) fn name(raw: &[u8]) -> Result<HeaderName, InvalidHeaderName> {
    if raw.len() > LONGEST {
        return HeaderName::from_bytes(raw);
    }
    NAMES.with_borrow_mut(|names| {
        let held = &mut names[place(raw)];
        if let Some((spelled, name)) = held
            && **spelled == *raw
        {
            return Ok(name.clone());
        }
        let name = HeaderName::from_bytes(raw)?;
        *held = Some((raw.into(), name.clone()));
        Ok(name)
    })
}

/// Where a name is held. It need not be hard to guess: names in the same place only take turns.
fn place(raw: &[u8]) -> usize {
    let hash =
        raw.iter().rev().take(12).fold(raw.len(), |hash, byte| hash.wrapping_mul(31) ^ usize::from(*byte));
    (hash ^ hash >> 8) % HELD
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_the_same_whether_held_or_made(raws in prop::collection::vec("[ -~]{0,60}|[a-cA-C-]{1,3}", 1..200)) {
            for raw in raws {
                prop_assert_eq!(name(raw.as_bytes()).ok(), HeaderName::from_bytes(raw.as_bytes()).ok());
            }
        }
    }
}
