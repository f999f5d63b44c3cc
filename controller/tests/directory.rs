//! A folder of manifests, with real files and real watching.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use penstock_controller::cluster::directory::{Directory, Settings};
use penstock_controller::cluster::{Cluster, Problem, WriteError};
use penstock_controller_core::objects::Objects;
use penstock_controller_core::reconcile;
use penstock_controller_core::world::World;
use penstock_crds::{Provider, ProviderAccount, ProviderAccountSpec};
use penstock_proto::ids::ObjectId;
use penstock_proto::secret::Secret;
use tokio::sync::watch::Receiver;
use tokio_util::sync::{CancellationToken, DropGuard};

const TWO: &str = "\
# The team's accounts.
apiVersion: penstock.dev/v1alpha1
kind: ProviderAccount
metadata: { name: a }
spec:
  provider: anthropic # for now
  credentials: { secretRef: { name: keys } }
---
# The second one.
apiVersion: penstock.dev/v1alpha1
kind: ProviderAccount
metadata: { name: b, labels: { team: search } }
spec: { provider: anthropic, credentials: { secretRef: { name: keys } }, priority: 5 }
---
apiVersion: v1
kind: Secret
metadata: { name: keys }
stringData: { apiKey: sk-ant-secret }
";

struct Folder {
    dir: tempfile::TempDir,
    cluster: Cluster,
    objects: Receiver<Arc<Objects>>,
    problems: Receiver<Arc<Vec<Problem>>>,
    _stop: DropGuard,
}

impl Folder {
    /// Opens a folder with these files, and watches it.
    async fn with(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(dir.path().join(name), text).expect("a file");
        }
        Self::open(dir, Vec::new()).await
    }

    async fn open(dir: tempfile::TempDir, api_keys: Vec<(Provider, Secret)>) -> Self {
        let status_file = Some(dir.path().join("statuses.json"));
        let settings =
            Settings { folder: dir.path().to_owned(), status_file, api_keys, ..Settings::default() };
        let directory = Directory::open(settings).await.expect("the folder opens");
        let stop = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "a test is its own app")]
        tokio::spawn(Arc::clone(&directory).watch(stop.clone()));
        let cluster = Cluster::Directory(directory);
        let (objects, problems) = (cluster.objects(), cluster.problems());
        Self { dir, cluster, objects, problems, _stop: stop.drop_guard() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).expect("the folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
        let mut names: Vec<_> = names.filter(|name| name.ends_with("yaml")).collect();
        names.sort();
        names
    }

    fn priority(&self, name: &str) -> Option<u8> {
        self.objects.borrow().accounts.get(&id(name)).map(|account| account.spec.priority)
    }

    async fn until(&mut self, holds: impl Fn(&Objects) -> bool) {
        let waited =
            tokio::time::timeout(Duration::from_secs(30), self.objects.wait_for(|now| holds(now))).await;
        waited.expect("it comes true").expect("the source lives");
    }

    async fn until_problems(&mut self, holds: impl Fn(&[Problem]) -> bool) -> Vec<String> {
        let waited =
            tokio::time::timeout(Duration::from_secs(30), self.problems.wait_for(|now| holds(now))).await;
        let problems = waited.expect("it comes true").expect("the source lives");
        problems.iter().map(ToString::to_string).collect()
    }
}

fn id(name: &str) -> ObjectId {
    ObjectId::new("default", name).expect("a name")
}

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Secret::new(*value))).collect()
}

#[tokio::test]
async fn what_is_in_the_folder_is_in_force_when_it_is_opened() {
    let folder = Folder::with(&[("team.yaml", TWO), ("penstock.yaml", "apiListen: 127.0.0.1:1")]).await;
    let objects = folder.objects.borrow().clone();
    assert_eq!(objects.accounts.len(), 2);
    assert_eq!(objects.secrets[&id("keys")].data["apiKey"].expose(), "sk-ant-secret");
    assert_eq!(objects.accounts[&id("a")].metadata.generation, Some(1));
    assert!(folder.problems.borrow().is_empty());
}

#[tokio::test]
async fn an_edit_is_in_force_without_a_restart() {
    let mut folder = Folder::with(&[("team.yaml", TWO)]).await;
    folder.write("team.yaml", &TWO.replace("priority: 5", "priority: 7"));
    folder.until(|now| now.accounts[&id("b")].spec.priority == 7).await;
    assert_eq!(folder.objects.borrow().accounts[&id("b")].metadata.generation, Some(2));
    assert_eq!(folder.objects.borrow().accounts[&id("a")].metadata.generation, Some(1));
    folder.write("more.yaml", &TWO.split("---").next().expect("a document").replace("name: a", "name: c"));
    folder.until(|now| now.accounts.len() == 3).await;
    fs::remove_file(folder.path("more.yaml")).expect("it is removed");
    folder.until(|now| now.accounts.len() == 2).await;
}

#[tokio::test]
async fn a_mistake_is_reported_with_its_line_and_changes_nothing_in_force() {
    let mut folder = Folder::with(&[("team.yaml", TWO)]).await;
    for (from, to, expected) in [
        ("priority: 5", "priority: 500", "team.yaml:13: spec.priority: 500 is more than 100"),
        (
            "priority: 5",
            "prioirty: 5",
            "team.yaml:13: spec.prioirty: there is no such field; did you mean priority?",
        ),
        (
            "provider: anthropic #",
            "provider: openai #",
            "team.yaml:2: spec.provider: provider cannot be changed",
        ),
        ("  provider: anthropic # for now\n", "", "team.yaml:5: spec: provider is missing"),
        ("name: b,", "name: a,", "is in this file twice"),
        (
            "stringData: { apiKey: sk-ant-secret }",
            "stringData: { apiKey: [sk-ant-secret] }",
            "team.yaml:18: stringData.apiKey: must be text",
        ),
        ("spec: { provider: anthropic, ", "spec: { provider: anthropic, }, ", "team.yaml:13:"),
    ] {
        assert!(TWO.contains(from), "{from}");
        folder.write("team.yaml", &TWO.replace(from, to));
        let problems = folder
            .until_problems(|now| now.iter().any(|problem| problem.to_string().contains(expected)))
            .await;
        assert!(problems.iter().all(|problem| !problem.contains("sk-ant")), "{problems:?}");
        assert_eq!((folder.objects.borrow().accounts.len(), folder.priority("b")), (2, Some(5)), "{to}");
        folder.write("team.yaml", TWO);
        folder.until_problems(<[_]>::is_empty).await;
    }
}

#[tokio::test]
async fn one_bad_file_keeps_no_other_from_being_read() {
    let mut folder = Folder::with(&[("bad.yaml", "kind: [\n"), ("team.yaml", TWO)]).await;
    assert_eq!(folder.objects.borrow().accounts.len(), 2);
    assert_eq!(folder.problems.borrow().len(), 1);
    folder.write("twice.yaml", TWO.split("---").next().expect("a document"));
    let problems = folder.until_problems(|now| now.len() == 2).await;
    assert!(problems[1].contains("ProviderAccount default/a is in team.yaml already"), "{problems:?}");
    // When the first is gone, the second takes its place.
    fs::remove_file(folder.path("team.yaml")).expect("it is removed");
    folder.until(|now| now.accounts.len() == 1).await;
    folder.until_problems(|now| now.len() == 1).await;
}

#[tokio::test]
async fn an_object_that_moves_to_another_file_stays_in_force() {
    let mut folder = Folder::with(&[("team.yaml", TWO)]).await;
    let (first, rest) = TWO.split_once("---\n").expect("documents");
    // Its new file is read before the old one.
    folder.write("alone.yaml", first);
    folder.write("team.yaml", &rest.replace("priority: 5", "priority: 6"));
    folder.until(|now| now.accounts[&id("b")].spec.priority == 6).await;
    folder.until_problems(<[_]>::is_empty).await;
    assert_eq!(folder.objects.borrow().accounts.len(), 2);
}

#[tokio::test]
async fn a_new_account_and_its_secret_are_in_files_of_their_own() {
    let folder = Folder::with(&[]).await;
    let object = ProviderAccount::new("mine", ProviderAccountSpec::new(Provider::Anthropic, Some("mine")));
    folder
        .cluster
        .create_account(object.clone(), values(&[("apiKey", "0123")]))
        .await
        .expect("it is created");
    assert_eq!(folder.names(), ["account-mine.yaml", "secret-mine.yaml"]);
    let mode = fs::metadata(folder.path("secret-mine.yaml")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(folder.objects.borrow().secrets[&id("mine")].data["apiKey"].expose(), "0123");
    let again = folder.cluster.create_account(object, values(&[("apiKey", "1")])).await;
    assert!(matches!(again, Err(WriteError::Exists { .. })), "{again:?}");
    assert_eq!(folder.objects.borrow().secrets[&id("mine")].data["apiKey"].expose(), "0123");
}

#[tokio::test]
async fn an_account_that_breaks_a_rule_is_not_written() {
    let folder = Folder::with(&[]).await;
    let object =
        ProviderAccount::new("mine", ProviderAccountSpec::new(Provider::OpenaiCompatible, Some("mine")));
    let refused =
        folder.cluster.create_account(object, values(&[("apiKey", "k")])).await.expect_err("no baseUrl");
    assert!(refused.to_string().contains("baseUrl is required"), "{refused}");
    assert!(folder.names().is_empty());
}

#[tokio::test]
async fn a_change_touches_one_document_and_leaves_the_others_as_they_stand() {
    let folder = Folder::with(&[("team.yaml", TWO)]).await;
    let pause = |spec: &mut ProviderAccountSpec| spec.paused = true;
    folder.cluster.change_account(&id("b"), Box::new(pause), None).await.expect("it is changed");
    assert!(folder.objects.borrow().accounts[&id("b")].spec.paused);
    let text = folder.text("team.yaml");
    let (first, rest) = TWO.split_once("---\n").expect("documents");
    assert!(text.starts_with(first), "{text}");
    assert!(text.ends_with(rest.split_once("---\n").expect("documents").1), "{text}");
    assert!(text.contains("# The second one.") && text.contains("team: search"), "{text}");
    let key = Some(values(&[("apiKey", "new")]));
    folder.cluster.change_account(&id("a"), Box::new(|_| ()), key).await.expect("it is changed");
    assert_eq!(folder.objects.borrow().secrets[&id("keys")].data["apiKey"].expose(), "new");
    assert_eq!(
        fs::metadata(folder.path("team.yaml")).expect("it is there").permissions().mode() & 0o777,
        0o600
    );
}

#[tokio::test]
async fn a_deleted_account_takes_its_secret_along_unless_another_uses_it() {
    let folder = Folder::with(&[("team.yaml", TWO)]).await;
    folder.cluster.delete_account(&id("b")).await.expect("it is deleted");
    assert!(folder.objects.borrow().secrets.contains_key(&id("keys")));
    let text = folder.text("team.yaml");
    assert!(text.contains("# The team's accounts.") && text.contains("# for now"), "{text}");
    assert!(!text.contains("The second one"), "{text}");
    folder.cluster.delete_account(&id("a")).await.expect("it is deleted");
    assert!(folder.objects.borrow().secrets.is_empty());
    assert!(folder.names().is_empty(), "{:?}", folder.names());
    let gone = folder.cluster.delete_account(&id("a")).await;
    assert!(matches!(gone, Err(WriteError::NotFound { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_file_with_a_mistake_is_not_written_over() {
    let mut folder = Folder::with(&[("team.yaml", TWO)]).await;
    folder.write("team.yaml", &format!("{TWO}---\nkind: Nonsense\n"));
    folder.until_problems(|now| !now.is_empty()).await;
    let refused = folder.cluster.delete_account(&id("a")).await.expect_err("it has a mistake");
    assert!(refused.to_string().contains("Nonsense"), "{refused}");
    assert!(folder.text("team.yaml").ends_with("kind: Nonsense\n"));
}

#[tokio::test]
async fn client_keys_come_and_go() {
    let folder = Folder::with(&[]).await;
    let labels = BTreeMap::from([(penstock_crds::CLIENT_KEY_LABEL.to_owned(), "true".to_owned())]);
    let hash = "ab".repeat(32);
    folder
        .cluster
        .create_secret(&id("laptop"), labels, values(&[("sha256", &hash)]))
        .await
        .expect("it is created");
    let mut world = World::default();
    world.set_objects(folder.objects.borrow().as_ref().clone());
    let plan = reconcile(&world, Timestamp::UNIX_EPOCH);
    assert!(plan.resources.keys().any(|key| key.name == "default/laptop"));
    folder.cluster.delete_secret(&id("laptop")).await.expect("it is deleted");
    assert!(folder.objects.borrow().secrets.is_empty());
}

#[tokio::test]
async fn a_key_of_the_environment_is_an_account_that_can_be_paused_but_not_deleted() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = Folder::open(dir, vec![(Provider::Anthropic, Secret::new("sk-env"))]).await;
    let account = id("env-anthropic");
    let deleted = folder.cluster.delete_account(&account).await;
    assert!(matches!(deleted, Err(WriteError::ReadOnly { .. })), "{deleted:?}");
    let pause = |spec: &mut ProviderAccountSpec| spec.paused = true;
    folder.cluster.change_account(&account, Box::new(pause), None).await.expect("it is paused");
    assert!(folder.objects.borrow().accounts[&account].spec.paused);
    assert!(!folder.text("account-env-anthropic.yaml").contains("sk-env"));
}

#[tokio::test]
async fn statuses_that_are_written_are_in_force_and_outlive_the_process() {
    let folder = Folder::with(&[("team.yaml", TWO)]).await;
    let now = Timestamp::from_second(1_800_000_000).expect("an instant");
    let mut world = World::default();
    world.set_objects(folder.objects.borrow().as_ref().clone());
    let plan = reconcile(&world, now);
    assert_eq!(plan.transitions.len(), 2);
    let written = folder.cluster.write_status(&plan.writes).await;
    assert!(written.failed.is_none(), "{written:?}");
    world.set_objects(folder.objects.borrow().as_ref().clone());
    let again = reconcile(&world, now);
    assert!(again.writes.is_empty() && again.transitions.is_empty(), "{again:?}");
    let reopened = Folder::open(folder.dir, Vec::new()).await;
    let mut world = World::default();
    world.set_objects(reopened.objects.borrow().as_ref().clone());
    let after = reconcile(&world, now);
    assert!(after.writes.is_empty() && after.transitions.is_empty(), "{after:?}");
}
