//! The objects of one watch. While they are listed anew, because the watch was gone for too long, those that are
//! known stay; one that cannot be read stays as it last could.

use std::collections::BTreeMap;

use kube::runtime::watcher::Event;

/// What a watch tells.
#[derive(Debug)]
pub(super) enum Heard<K, T> {
    /// A list begins.
    Begin,
    /// An object of the list.
    Listed(K, Result<T, String>),
    /// The list is complete: what was not in it is gone.
    Complete,
    /// An object is new or changed.
    Set(K, Result<T, String>),
    /// An object is gone.
    Gone(K),
}

/// The objects of one watch.
#[derive(Debug)]
pub(super) struct Listing<K, T> {
    held: BTreeMap<K, T>,
    /// Why an object is not in force as it is written.
    unreadable: BTreeMap<K, String>,
    /// The list that is coming in.
    incoming: Option<(BTreeMap<K, T>, BTreeMap<K, String>)>,
    complete: bool,
}

impl<K, T> Default for Listing<K, T> {
    fn default() -> Self {
        Self { held: BTreeMap::new(), unreadable: BTreeMap::new(), incoming: None, complete: false }
    }
}

impl<K: Ord + Clone, T: Clone> Listing<K, T> {
    /// Takes in what a watch tells; whether anything that is held may have changed.
    pub(super) fn take(&mut self, heard: Heard<K, T>) -> bool {
        match heard {
            Heard::Begin => {
                self.incoming = Some((BTreeMap::new(), BTreeMap::new()));
                return false;
            }
            Heard::Listed(key, read) => {
                let known = self.held.get(&key).cloned();
                let (held, unreadable) = self.incoming.get_or_insert_default();
                put(held, unreadable, key, read, known);
                return false;
            }
            Heard::Complete => {
                (self.held, self.unreadable) = self.incoming.take().unwrap_or_default();
                self.complete = true;
            }
            Heard::Set(key, read) => {
                let known = self.held.get(&key).cloned();
                put(&mut self.held, &mut self.unreadable, key, read, known);
            }
            Heard::Gone(key) => {
                self.held.remove(&key);
                self.unreadable.remove(&key);
            }
        }
        true
    }

    /// Whether all there is was listed once.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    pub(super) fn get(&self, key: &K) -> Option<&T> {
        self.held.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &T)> {
        self.held.iter()
    }

    /// Those that are not in force as they are written, and why.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = (&K, &String)> {
        self.unreadable.iter()
    }
}

fn put<K: Ord + Clone, T>(
    held: &mut BTreeMap<K, T>,
    unreadable: &mut BTreeMap<K, String>,
    key: K,
    read: Result<T, String>,
    known: Option<T>,
) {
    match read {
        Ok(object) => {
            unreadable.remove(&key);
            held.insert(key, object);
        }
        Err(reason) => {
            unreadable.insert(key.clone(), reason);
            held.extend(known.map(|known| (key, known)));
        }
    }
}

/// What a watch's event tells; `None`: nothing, because the object's name is none.
pub(super) fn heard<O, K, T>(
    event: Event<O>,
    key: impl Fn(&O) -> Option<K>,
    read: impl Fn(O) -> Result<T, String>,
) -> Option<Heard<K, T>> {
    Some(match event {
        Event::Init => Heard::Begin,
        Event::InitApply(object) => Heard::Listed(key(&object)?, read(object)),
        Event::InitDone => Heard::Complete,
        Event::Apply(object) => Heard::Set(key(&object)?, read(object)),
        Event::Delete(object) => Heard::Gone(key(&object)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(heard: impl IntoIterator<Item = Heard<&'static str, u8>>) -> Listing<&'static str, u8> {
        let mut listing = Listing::default();
        for heard in heard {
            listing.take(heard);
        }
        listing
    }

    fn first() -> [Heard<&'static str, u8>; 4] {
        [Heard::Begin, Heard::Listed("a", Ok(1)), Heard::Listed("b", Ok(1)), Heard::Complete]
    }

    fn held(listing: &Listing<&'static str, u8>) -> Vec<(&'static str, u8)> {
        listing.iter().map(|(key, value)| (*key, *value)).collect()
    }

    #[test]
    fn what_is_known_stays_until_a_new_list_is_complete() {
        let mut listing = listing(first());
        assert!(listing.is_complete());
        for heard in [Heard::Begin, Heard::Listed("b", Ok(2)), Heard::Begin, Heard::Listed("c", Ok(3))] {
            assert!(!listing.take(heard));
            assert_eq!(held(&listing), [("a", 1), ("b", 1)]);
        }
        assert!(listing.take(Heard::Complete));
        assert_eq!(held(&listing), [("c", 3)]);
    }

    #[test]
    fn an_object_that_cannot_be_read_stays_as_it_last_could() {
        let mut listing = listing(first());
        listing.take(Heard::Set("a", Err("odd".into())));
        listing.take(Heard::Set("c", Err("odd".into())));
        assert_eq!(held(&listing), [("a", 1), ("b", 1)]);
        assert_eq!(listing.unreadable().count(), 2);
        let again = [Heard::Begin, Heard::Listed("a", Err("odd".into())), Heard::Complete];
        for heard in again {
            listing.take(heard);
        }
        assert_eq!(held(&listing), [("a", 1)]);
        listing.take(Heard::Set("a", Ok(4)));
        assert_eq!((held(&listing), listing.unreadable().count()), (vec![("a", 4)], 0));
        listing.take(Heard::Gone("a"));
        assert_eq!(held(&listing), []);
    }
}
