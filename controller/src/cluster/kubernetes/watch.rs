//! Watches: one stream for each kind and namespace, all in one loop that owns what they tell. A stream that fails
//! goes on where it was, or lists anew, with growing pauses; what is known stays meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, FuturesUnordered};
use futures_util::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use penstock_controller_core::objects::id_of;
use penstock_controller_core::price::PriceTable;
use penstock_controller_core::references::Reference;
use penstock_crds::{AccessGrant, AccountPool, ProviderAccount};
use penstock_proto::ids::ObjectId;
use rand::Rng;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_stream::StreamMap;
use tokio_util::sync::CancellationToken;

use super::Kubernetes;
use super::listing::{Heard, heard};
use super::prices::Prices;
use super::read::{Fetched, Reader};
use super::state::{Failure, Message, Meta, Source, State, What, is_client_key};

/// How long one watch lasts before it is renewed where it is: a connection that died in silence is noticed then.
pub(super) const WATCH_SECONDS: u32 = 50;

/// How often the labels of a namespace are looked at that cannot be watched.
const LOOK: Duration = Duration::from_secs(10);

/// A watch that has not failed again for so long goes on: longer than a request and a pause may take.
const WENT_ON: Duration = Duration::from_secs(30);

/// What is taken in at most before it is published.
const BATCH: usize = 4_096;

/// From 0.2 s, doubled with each failure up to 5 s, and up to a quarter less, so that replicas spread. Begins anew
/// after half a minute without a failure.
struct Pauses {
    next: Duration,
    last: Option<Instant>,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(5);

    fn new() -> Self {
        Self { next: Self::FIRST, last: None }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if self.last.replace(now).is_some_and(|last| now > last + WENT_ON) {
            self.next = Self::FIRST;
        }
        let pause = self.next;
        self.next = (2 * pause).min(Self::LONGEST);
        Some(pause.mul_f64(rand::rng().random_range(0.75..=1.0)))
    }
}

impl Backoff for Pauses {
    // A watch announces every list that it tries, which is no success yet.
    fn reset(&mut self) {}
}

type Stream = BoxStream<'static, Message>;

struct Loop<'a> {
    kubernetes: &'a Kubernetes,
    state: State,
    prices: Prices,
    streams: StreamMap<Source, Stream>,
    reader: Reader,
    reads: FuturesUnordered<BoxFuture<'static, Fetched>>,
    /// What is being read.
    reading: BTreeSet<Reference>,
    /// When each watch failed last.
    failed: BTreeMap<Source, Instant>,
    /// Something may have changed since it was published.
    changed: bool,
}

impl Kubernetes {
    /// Watches until `stop`.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut this = Loop {
            kubernetes: &self,
            state: State::new(self.base_sources(), self.own_references()),
            prices: Prices::new(PriceTable::clone(&self.published.prices().borrow())),
            streams: StreamMap::new(),
            reader: Reader::new(self.client.clone()),
            reads: FuturesUnordered::new(),
            reading: BTreeSet::new(),
            failed: BTreeMap::new(),
            changed: true,
        };
        let _ended = self.ended.clone().drop_guard();
        stop.run_until_cancelled(this.run()).await;
    }
}

impl Loop<'_> {
    async fn run(&mut self) {
        let mut look = tokio::time::interval(WENT_ON / 3);
        let mut rests_until = Instant::now();
        loop {
            if self.changed && Instant::now() >= rests_until {
                let began = Instant::now();
                self.changed = false;
                self.follow();
                self.kubernetes.publish(&mut self.state, &mut self.prices);
                // All objects were looked at: what comes meanwhile is published together, so that half of a core
                // stays free however many there are.
                rests_until = Instant::now() + began.elapsed();
            }
            tokio::select! {
                () = tokio::time::sleep_until(rests_until), if self.changed => {}
                Some((source, message)) = self.streams.next() => self.take_all(&source, message),
                Some(fetched) = self.reads.next() => self.take_reads(fetched),
                _ = look.tick() => self.look(),
            }
        }
    }

    /// Opens the watches and starts the reads that there should be, and ends the others.
    fn follow(&mut self) {
        let wanted = self.state.sources();
        let gone: Vec<_> = self.streams.keys().filter(|source| !wanted.contains(source)).cloned().collect();
        for source in gone {
            self.streams.remove(&source);
            self.state.forget(&source);
        }
        for source in wanted {
            if !self.streams.contains_key(&source) {
                let stream = open(self.kubernetes.client.clone(), &source);
                self.streams.insert(source, stream);
            }
        }
        for (reference, version) in self.state.to_read() {
            if self.reading.insert(reference.clone()) {
                self.reads.push(self.reader.clone().read(reference, version).boxed());
            }
        }
    }

    /// Takes in a message and what has come with it.
    fn take_all(&mut self, source: &Source, message: Message) {
        self.take(source, message);
        for _ in 0..BATCH {
            let Some(Some((source, message))) = self.streams.next().now_or_never() else { return };
            self.take(&source, message);
        }
    }

    fn take(&mut self, source: &Source, message: Message) {
        let (metrics, kind) = (&self.kubernetes.metrics, source.what.as_label());
        match &message {
            Message::Failed(_) => {
                metrics.watch_failed(kind);
                self.failed.insert(source.clone(), Instant::now());
            }
            heard => metrics.watch_heard(kind, heard.begins_a_list()),
        }
        self.changed |= self.state.take(source, message);
    }

    /// Takes in a read and those that have come with it: at a start there are as many as accounts, and what follows
    /// looks at all of them.
    fn take_reads(&mut self, fetched: Fetched) {
        self.take_read(fetched);
        for _ in 0..BATCH {
            let Some(Some(fetched)) = self.reads.next().now_or_never() else { return };
            self.take_read(fetched);
        }
    }

    fn take_read(&mut self, fetched: Fetched) {
        let Fetched { reference, version, content } = fetched;
        self.reading.remove(&reference);
        self.state.take_content(reference, version, content);
        self.changed = true;
    }

    /// Watches that failed and have been quiet since go on.
    fn look(&mut self) {
        let now = Instant::now();
        let quiet = self.failed.iter().filter(|(_, at)| now >= **at + WENT_ON);
        for source in quiet.map(|(source, _)| source.clone()).collect::<Vec<_>>() {
            self.failed.remove(&source);
            self.changed |= self.state.went_on(&source);
        }
    }
}

fn open(client: Client, source: &Source) -> Stream {
    match source.what {
        What::Accounts => objects::<ProviderAccount>(client, source, Message::Account),
        What::Pools => objects::<AccountPool>(client, source, Message::Pool),
        What::Grants => objects::<AccessGrant>(client, source, Message::Grant),
        What::Secrets => metas::<Secret>(client, source),
        What::ConfigMaps => metas::<ConfigMap>(client, source),
        What::Namespaces if let Some(name) = &source.namespace => labels(client, name.clone()),
        What::Namespaces => {
            let api = Api::<PartialObjectMeta<Namespace>>::all(client);
            let name = |found: &PartialObjectMeta<Namespace>| Some(found.name_any());
            let read = |found: PartialObjectMeta<Namespace>| Ok(found.metadata.labels.unwrap_or_default());
            messages(api, move |event| heard(event, name, read).map(Message::Namespace))
        }
    }
}

/// The labels of one namespace, looked at now and then: a Role can allow to get its own namespace, but not to
/// watch it. If none does, it has no labels.
fn labels(client: Client, name: String) -> Stream {
    let looks = stream::unfold(Duration::ZERO, move |pause| {
        let (api, name) = (Api::<Namespace>::all(client.clone()), name.clone());
        async move {
            tokio::time::sleep(pause).await;
            let labels = match api.get_metadata_opt(&name).await {
                Ok(found) => found.and_then(|found| found.metadata.labels).unwrap_or_default(),
                Err(kube::Error::Api(status)) if status.code == 403 => BTreeMap::new(),
                Err(error) => {
                    let failure = Failure::Away(super::chain(&error));
                    return Some((vec![Message::Failed(failure)], Pauses::LONGEST));
                }
            };
            let list = [Heard::Begin, Heard::Listed(name, Ok(labels)), Heard::Complete];
            Some((list.map(Message::Namespace).into(), LOOK))
        }
    });
    looks.flat_map(stream::iter).boxed()
}

fn objects<K>(client: Client, source: &Source, message: fn(Heard<ObjectId, Arc<K>>) -> Message) -> Stream
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let api = api::<DeserializeGuard<K>>(client, source);
    // What managers there were is of no use here, and as large as the rest.
    let read = |DeserializeGuard(object): DeserializeGuard<K>| match object {
        Ok(mut object) => {
            object.managed_fields_mut().clear();
            Ok(Arc::new(object))
        }
        Err(invalid) => Err(invalid.error),
    };
    messages(api, move |event| heard(event, |found| id_of(found).ok(), read).map(message))
}

fn metas<K>(client: Client, source: &Source) -> Stream
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    PartialObjectMeta<K>: DeserializeOwned,
{
    let api = api::<PartialObjectMeta<K>>(client, source);
    let meta = |found: PartialObjectMeta<K>| {
        let is_client_key = is_client_key(found.metadata.labels.as_ref());
        Ok(Meta { version: found.metadata.resource_version.unwrap_or_default(), is_client_key })
    };
    messages(api, move |event| heard(event, |found| id_of(found).ok(), meta).map(Message::Meta))
}

fn api<K>(client: Client, source: &Source) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match &source.namespace {
        None => Api::all(client),
        Some(namespace) => Api::namespaced(client, namespace),
    }
}

fn messages<K>(api: Api<K>, message: impl Fn(Event<K>) -> Option<Message> + Send + 'static) -> Stream
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let events = watcher(api, config).backoff(Pauses::new());
    let messages = events.filter_map(move |event| {
        std::future::ready(match event {
            Ok(event) => message(event),
            Err(error) => failure(&error).map(Message::Failed),
        })
    });
    messages.boxed()
}

/// Why a watch fails; `None`: it has fallen behind and lists anew, as it should.
fn failure(error: &watcher::Error) -> Option<Failure> {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    let status = match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status) => Some(status),
        InitialListFailed(_) | WatchStartFailed(_) | WatchFailed(_) | NoResourceVersion => None,
    };
    match status.map(|status| (status.code, status.message.clone())) {
        Some((410, _)) => None,
        Some((403, message)) => Some(Failure::Forbidden(message)),
        Some((404, _)) => Some(Failure::NoSuchKind),
        Some((_, message)) => Some(Failure::Away(message)),
        None => Some(Failure::Away(super::chain(error))),
    }
}
