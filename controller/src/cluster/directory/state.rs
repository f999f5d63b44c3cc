//! What the folder holds: every file as it was last seen, and the last of its contents that was good. Only the
//! good ones are in force.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use penstock_controller_core::objects::Objects;
use penstock_controller_core::validate::{Manifest, transition};
use penstock_crds::ProviderAccount;
use serde_json::Value;

use super::files::{self, Content};
use super::read::{Key, Read, Said, read};
use super::statuses::Statuses;
use crate::cluster::Problem;

/// What the folder holds.
pub(super) struct State {
    pub(super) folder: PathBuf,
    pub(super) files: BTreeMap<String, Held>,
    /// Objects that stand in no file, unless one of the same name does.
    pub(super) environment: BTreeMap<Key, Said>,
    pub(super) statuses: Statuses,
    /// What each object said last, and how often that changed.
    generations: BTreeMap<Key, (Value, i64)>,
    folder_problem: Option<Problem>,
}

/// One file.
pub(super) struct Held {
    /// As it was last seen.
    pub(super) seen: Content,
    /// What was last good in it: this is in force.
    pub(super) good: Vec<Read>,
    /// What is wrong with it as it was last seen.
    pub(super) problems: Vec<Problem>,
}

impl State {
    pub(super) fn new(folder: PathBuf, environment: BTreeMap<Key, Said>, statuses: Statuses) -> Self {
        let (files, generations) = (BTreeMap::new(), BTreeMap::new());
        Self { folder, files, environment, statuses, generations, folder_problem: None }
    }

    /// Takes in what has changed in the folder.
    pub(super) fn load(&mut self) {
        match files::list(&self.folder) {
            Ok(listed) => {
                self.folder_problem = None;
                self.take_in(listed);
            }
            Err(error) => {
                let file = self.folder.display().to_string();
                let message = format!("the folder cannot be read: {error}; what is in force stays");
                self.folder_problem = Some(Problem { file, line: None, message });
            }
        }
    }

    fn take_in(&mut self, listed: BTreeMap<String, Content>) {
        self.files.retain(|name, _| listed.contains_key(name));
        for (name, seen) in listed {
            // A file with a mistake is looked at again: the mistake may have been in another one.
            let same =
                self.files.get(&name).is_some_and(|held| held.seen == seen && held.problems.is_empty());
            if !same {
                self.take_in_file(name, seen);
            }
        }
        // What did not fit may do so now: an object that went from one file to another is in both until the
        // other has been read too.
        let unfit: Vec<_> = self.files.iter().filter(|(_, held)| !held.problems.is_empty()).collect();
        let unfit: Vec<_> = unfit.into_iter().map(|(name, held)| (name.clone(), held.seen.clone())).collect();
        for (name, seen) in unfit {
            self.take_in_file(name, seen);
        }
        self.count_generations();
    }

    fn take_in_file(&mut self, name: String, seen: Content) {
        let found = match &seen {
            Ok(text) => read(&name, text).and_then(|objects| self.fits(&name, objects)),
            Err(message) => Err(vec![Problem { file: name.clone(), line: None, message: message.clone() }]),
        };
        let held = self.files.entry(name).or_insert_with(|| Held {
            seen: Err(String::new()),
            good: Vec::new(),
            problems: Vec::new(),
        });
        held.seen = seen;
        match found {
            Ok(objects) => (held.good, held.problems) = (objects, Vec::new()),
            Err(problems) => held.problems = problems,
        }
    }

    /// Whether the objects of a file go together with what is in force.
    fn fits(&self, name: &str, objects: Vec<Read>) -> Result<Vec<Read>, Vec<Problem>> {
        let mut problems = Vec::new();
        for object in &objects {
            let mut problem =
                |message| problems.push(Problem { file: name.to_owned(), line: Some(object.line), message });
            match self.find(&object.key) {
                Some((file, _)) if file != name => {
                    problem(format!("{} is in {file} already; remove one", object.key.what()));
                }
                Some((_, held)) => {
                    let changes = accounts(&held.said, &object.said).map(|(old, new)| transition(old, new));
                    changes.into_iter().flatten().for_each(|broken| problem(broken.to_string()));
                }
                None => {}
            }
        }
        if problems.is_empty() { Ok(objects) } else { Err(problems) }
    }

    /// The file and the object of this name that is in force.
    pub(super) fn find(&self, key: &Key) -> Option<(&str, &Read)> {
        self.files.iter().find_map(|(name, held)| {
            held.good.iter().find(|object| object.key == *key).map(|object| (name.as_str(), object))
        })
    }

    /// What is in force under this name, from a file or from the environment.
    pub(super) fn said(&self, key: &Key) -> Option<&Said> {
        self.find(key).map(|(_, object)| &object.said).or_else(|| self.environment.get(key))
    }

    fn in_force(&self) -> BTreeMap<&Key, &Said> {
        let files = self.files.values().flat_map(|held| &held.good).map(|object| (&object.key, &object.said));
        self.environment.iter().chain(files).collect()
    }

    fn count_generations(&mut self) {
        let mut next = BTreeMap::new();
        for (key, said) in self.in_force() {
            let Some(spec) = spec(said) else { continue };
            let generation = match self.generations.get(key) {
                Some((held, generation)) if *held == spec => *generation,
                Some((_, generation)) => generation + 1,
                None => 1,
            };
            next.insert(key.clone(), (spec, generation));
        }
        self.generations = next;
    }

    /// Everything that is in force.
    pub(super) fn objects(&self) -> Objects {
        let mut objects = Objects { standalone: true, ..Objects::default() };
        for (key, said) in self.in_force() {
            self.add(&mut objects, key, said);
        }
        objects
    }

    fn add(&self, objects: &mut Objects, key: &Key, said: &Said) {
        let id = key.id.clone();
        let generation = self.generations.get(key).map(|(_, generation)| *generation);
        let namespace = Some(id.namespace().to_owned());
        match said.clone() {
            Said::Ours(Manifest::Account(mut object)) => {
                (object.metadata.generation, object.metadata.namespace) = (generation, namespace);
                object.status = self.statuses.accounts.get(&id).cloned();
                objects.accounts.insert(id, Arc::from(object));
            }
            Said::Ours(Manifest::Pool(mut object)) => {
                (object.metadata.generation, object.metadata.namespace) = (generation, namespace);
                object.status = self.statuses.pools.get(&id).cloned();
                objects.pools.insert(id, Arc::from(object));
            }
            Said::Ours(Manifest::Grant(mut object)) => {
                (object.metadata.generation, object.metadata.namespace) = (generation, namespace);
                object.status = self.statuses.grants.get(&id).cloned();
                objects.grants.insert(id, Arc::from(object));
            }
            Said::Secret(secret) => drop(objects.secrets.insert(id, Arc::new(secret))),
            Said::CaBundle(pem) => {
                if let Some(pem) = pem {
                    objects.ca_bundles.insert(id, pem.into());
                }
            }
            Said::Labels(labels) => drop(objects.namespaces.insert(id.name().to_owned(), labels)),
        }
    }

    /// Everything that is not in force, and why.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let files = self.files.values().flat_map(|held| &held.problems);
        self.folder_problem.iter().chain(files).cloned().collect()
    }
}

fn accounts<'a>(old: &'a Said, new: &'a Said) -> Option<(&'a ProviderAccount, &'a ProviderAccount)> {
    match (old, new) {
        (Said::Ours(Manifest::Account(old)), Said::Ours(Manifest::Account(new))) => Some((old, new)),
        _ => None,
    }
}

fn spec(said: &Said) -> Option<Value> {
    match said {
        Said::Ours(Manifest::Account(object)) => serde_json::to_value(&object.spec).ok(),
        Said::Ours(Manifest::Pool(object)) => serde_json::to_value(&object.spec).ok(),
        Said::Ours(Manifest::Grant(object)) => serde_json::to_value(&object.spec).ok(),
        Said::Secret(_) | Said::CaBundle(_) | Said::Labels(_) => None,
    }
}

/// A folder that is not there yet is made: the first account will be put into it.
pub(super) fn prepare(folder: &std::path::Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)
}
