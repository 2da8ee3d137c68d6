//! The door: the outermost layer of the server. It makes a [`Caller`] of what a call shows, by the directory as it is now, and lets nobody in whom
//! the directory does not know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Extensions, HeaderMap, HeaderValue, Request, Response};
use tower::{Layer, Service};

use super::caller::{Caller, Standing};
use super::share::{Part, Share};
use super::short::{self, AccessToken};
use super::table::{Rule, rule_of};
use crate::book::command::{Command, DirectoryCommand};
use crate::book::directory::{Directory, DirectoryStep, Identity, LedgerKey, TokenDigest};
use crate::ports::clock::Clock;
use crate::ports::ledger::{Ledger, LedgerError};
use crate::service::errors::{Reason, Refusal};
use crate::service::forwarding::FORWARDED;
use crate::service::limits::{Limits, count, methods_of};
use crate::service::listener::CertificateNames;
use crate::service::seal::{Said, Seals};
use crate::service::told::{self, Lines};
use crate::vocabulary::ids::{Actor, ProgramId, TokenId};
use crate::vocabulary::time::Timestamp;
use crate::wire::credentials::{ACTOR, AUTHORIZATION};
use crate::wire::request::PageKey;

/// How somebody is called who does not say.
const NAMELESS: &str = "local";
/// What is unknown is looked for again no sooner than after this, however many ask.
const LOOKED_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// How long is waited for a ledger that has no key to take one; it is tried again.
const KEY_MADE_WITHIN: Duration = Duration::from_secs(2);
/// How long a change of the directory by another process may stay unseen.
const LOOKED_EVERY: Duration = Duration::from_secs(1);

/// What is kept of a token.
pub(in crate::service) fn digest_of(token: &[u8]) -> TokenDigest {
    TokenDigest(Sha256::digest(token).into())
}

/// The directory, and whom its tokens and certificates let in.
#[derive(Debug, Default)]
pub(in crate::service) struct Known {
    pub(in crate::service) directory: Arc<Directory>,
    by_token: BTreeMap<TokenDigest, Arc<Identity>>,
    by_token_id: BTreeMap<TokenId, Arc<Identity>>,
    by_certificate: BTreeMap<Box<str>, Arc<Identity>>,
    by_name: BTreeMap<Actor, Arc<Identity>>,
    asks_who_calls: bool,
}

impl Known {
    fn of(directory: Arc<Directory>) -> Self {
        let asks_who_calls = directory.asks_who_calls();
        let mut known = Self { directory: Arc::clone(&directory), asks_who_calls, ..Self::default() };
        for identity in directory.identities() {
            let shared = Arc::new(identity.clone());
            known.by_token_id.extend(identity.tokens.iter().map(|token| (token.id.clone(), Arc::clone(&shared))));
            known.by_token.extend(identity.tokens.iter().map(|token| (token.digest, Arc::clone(&shared))));
            known.by_certificate.extend(identity.settings.certificates.iter().map(|name| (name.clone(), Arc::clone(&shared))));
            known.by_name.insert(identity.settings.name.clone(), shared);
        }
        known
    }

    /// Whom a token lets in: one that lasts, with its id, or an access token made from one.
    fn by_token(&self, token: &[u8], now: Timestamp) -> Option<(Arc<Identity>, Option<TokenId>)> {
        if token.starts_with(short::PREFIX.as_bytes()) {
            let AccessToken { of, .. } = AccessToken::open(token, self.directory.key()?, now)?;
            let identity = self.by_token_id.get(&of)?;
            let live = identity.tokens.iter().any(|token| token.id == of && token.is_live(now));
            return live.then(|| (Arc::clone(identity), None));
        }
        let digest = digest_of(token);
        let identity = self.by_token.get(&digest)?;
        let live = identity.tokens.iter().find(|token| token.digest == digest && token.is_live(now))?;
        Some((Arc::clone(identity), Some(live.id.clone())))
    }

    /// Whom the names of a certificate let in: nobody, when they are those of several.
    fn by_certificate(&self, names: &[Box<str>]) -> Option<Arc<Identity>> {
        let mut found = names.iter().filter_map(|name| self.by_certificate.get(name));
        let first = found.next()?;
        found.all(|other| Arc::ptr_eq(first, other)).then(|| Arc::clone(first))
    }
}

/// Who is let in.
pub(in crate::service) struct Door {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    known: RwLock<Arc<Known>>,
    looked_at: tokio::sync::Mutex<Option<Instant>>,
    /// Of identities that called; those that were removed are forgotten.
    shares: Mutex<BTreeMap<Actor, Arc<Share>>>,
    /// Of this process alone, until the ledger has a key.
    own_key: LedgerKey,
    /// Of whoever calls where nobody is asked.
    anybodys: Arc<Share>,
    limits: Limits,
    /// By which other replicas are believed who calls; absent where there are none.
    seals: Option<Seals>,
}

impl Door {
    /// A door to a ledger. It knows nobody until it looked.
    pub(in crate::service) fn new(ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>, limits: &Limits, seals: Option<Seals>) -> Self {
        Self {
            seals,
            ledger,
            clock,
            known: RwLock::default(),
            looked_at: tokio::sync::Mutex::default(),
            shares: Mutex::default(),
            own_key: new_key(),
            anybodys: Share::new(limits, Part::Whole),
            limits: limits.clone(),
        }
    }

    /// What was known when it looked last.
    pub(in crate::service) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read())
    }

    /// The key that page tokens are sealed with: the ledger's, so that every process takes the tokens of every other.
    pub(in crate::service) fn page_key(&self) -> PageKey {
        let known = self.known();
        PageKey::of(known.directory.key().unwrap_or(&self.own_key))
    }

    /// Gives the ledger a key, where it has none. Where it cannot be written, this process goes on with its own, and tries again.
    pub(in crate::service) async fn see_to_key(&self) {
        if self.known().directory.key().is_some() {
            return;
        }
        match tokio::time::timeout(KEY_MADE_WITHIN, self.make_key()).await {
            Ok(Ok(())) => self.look().await,
            Ok(Err(error)) => tracing::debug!(%error, "the ledger has no key yet, and takes none now"),
            Err(_) => tracing::debug!("the ledger has no key yet, and is busy"),
        }
    }

    async fn make_key(&self) -> Result<(), LedgerError> {
        let program_id = ProgramId::directory();
        let Ok(actor) = Actor::new(ProgramId::DIRECTORY) else { return Ok(()) };
        let step = DirectoryStep::MakeKey(self.own_key.clone());
        let command = DirectoryCommand { program_id, step, actor, at: self.clock.now() };
        self.ledger.execute(Command::ChangeDirectory(Box::new(command))).await.map(drop)
    }

    /// Looks at the directory now.
    pub(in crate::service) async fn look(&self) {
        let mut looked_at = self.looked_at.lock().await;
        *looked_at = Some(Instant::now());
        self.look_while_alone().await;
    }

    /// Looks at the directory because something was asked for that it does not know: once for all who ask meanwhile, and not too often.
    pub(super) async fn look_again(&self) {
        let asked = Instant::now();
        let mut looked_at = self.looked_at.lock().await;
        if looked_at.is_some_and(|at| at > asked) {
            return;
        }
        if let Some(at) = *looked_at {
            tokio::time::sleep_until(at + LOOKED_AGAIN_AFTER).await;
        }
        *looked_at = Some(Instant::now());
        self.look_while_alone().await;
    }

    async fn look_while_alone(&self) {
        match self.ledger.directory().await {
            Ok(directory) => {
                if !Arc::ptr_eq(&directory, &self.known().directory) {
                    self.shares.lock().retain(|name, _| directory.identity(name).is_some());
                    *self.known.write() = Arc::new(Known::of(directory));
                }
            }
            // Whom it knew it goes on to know.
            Err(error) => tracing::debug!(%error, "the directory cannot be read"),
        }
    }

    /// Looks at the directory every now and then, for what other processes change.
    pub(in crate::service) async fn keep_looking(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOKED_EVERY).await;
            self.look().await;
            self.see_to_key().await;
        }
    }

    /// Who makes a call, by what it shows.
    async fn caller(self: &Arc<Self>, shows: Shows<'_>, rule: &'static Rule) -> Result<Caller, Refusal> {
        let found = self.caller_by_what_is_known(shows, rule);
        // What is wrong with a message is not mended by another look.
        if found.as_ref().err().is_none_or(|refusal| refusal.reason() != Reason::NotAuthenticated) {
            return found;
        }
        self.look_again().await;
        self.caller_by_what_is_known(shows, rule)
    }

    fn caller_by_what_is_known(self: &Arc<Self>, shows: Shows<'_>, rule: &'static Rule) -> Result<Caller, Refusal> {
        let Shows { headers, extensions, method } = shows;
        let known = self.known();
        if let Some(seal) = headers.get(FORWARDED) {
            // Whatever else it shows is the other replica's.
            return self.forwarded(&known, seal, method, rule);
        }
        let token = headers.get(AUTHORIZATION);
        if !known.asks_who_calls {
            // A token that was never issued here is a mistake, and not a name.
            return if token.is_some() { Err(Refusal::not_authenticated()) } else { self.anybody(headers, rule) };
        }
        let by_certificate = known.by_certificate(certificate_names(extensions));
        let (identity, token) = if let Some(shown) = token {
            // A token that is shown must be good: whoever shows one does not mean the certificate.
            let by_token = bearer(shown).and_then(|token| known.by_token(token, self.clock.now()));
            let (by_token, lasting) = by_token.ok_or_else(Refusal::not_authenticated)?;
            if by_certificate.is_some_and(|other| other.settings.name != by_token.settings.name) {
                return Err(Refusal::credentials_disagree());
            }
            (by_token, lasting)
        } else {
            (by_certificate.ok_or_else(Refusal::not_authenticated)?, None)
        };
        if headers.contains_key(ACTOR) {
            return Err(Refusal::invalid_field(ACTOR, "is who the token or the certificate says; leave this header out"));
        }
        Ok(self.caller_of(identity, token, rule))
    }

    fn caller_of(self: &Arc<Self>, identity: Arc<Identity>, token: Option<TokenId>, rule: &'static Rule) -> Caller {
        let name = identity.settings.name.clone();
        let share = self.share_of(&name);
        let (standing, door) = (Standing::Identity(identity), Arc::clone(self));
        Caller { name, standing, rule, door, token, share, intake: None }
    }

    /// Who makes a call that another replica has forwarded: it has asked, and what it found may be newer than what is known here.
    fn forwarded(
        self: &Arc<Self>,
        known: &Known,
        seal: &HeaderValue,
        method: &str,
        rule: &'static Rule,
    ) -> Result<Caller, Refusal> {
        let said = self.seals.as_ref().and_then(|seals| seals.open(seal, method, self.clock.now()));
        let (name, standing) = match said.ok_or_else(Refusal::not_authenticated)? {
            Said::Identity(name) => {
                let identity = known.by_name.get(&name).ok_or_else(Refusal::not_authenticated)?;
                return Ok(self.caller_of(Arc::clone(identity), None, rule));
            }
            Said::Named(_) | Said::Nameless if known.asks_who_calls => return Err(Refusal::not_authenticated()),
            Said::Named(name) => (name, Standing::Anybody),
            Said::Nameless => (Actor::new(NAMELESS).map_err(|_| Refusal::internal())?, Standing::Nameless),
        };
        let share = Arc::clone(&self.anybodys);
        Ok(Caller { name, standing, rule, door: Arc::clone(self), token: None, share, intake: None })
    }

    /// Says to the replica at an address for whom one of its methods is called.
    pub(super) fn sealed(&self, said: &Said, method: &str, to: &str) -> Option<HeaderValue> {
        self.seals.as_ref()?.seal(said, method, to, self.clock.now())
    }

    fn anybody(self: &Arc<Self>, headers: &HeaderMap, rule: &'static Rule) -> Result<Caller, Refusal> {
        let said = headers.get(ACTOR);
        let text = said.map_or(Ok(NAMELESS), HeaderValue::to_str).unwrap_or_default();
        let name = Actor::new(text).map_err(|problem| Refusal::invalid_field(ACTOR, problem.to_string()))?;
        if crate::book::directory::OWN_NAMES.contains(&text) && said.is_some() {
            return Err(Refusal::invalid_field(
                ACTOR,
                format!("is `{text}`, which stands for the service itself; give another name"),
            ));
        }
        let standing = if said.is_some() { Standing::Anybody } else { Standing::Nameless };
        let share = Arc::clone(&self.anybodys);
        Ok(Caller { name, standing, rule, door: Arc::clone(self), token: None, share, intake: None })
    }

    fn share_of(&self, name: &Actor) -> Arc<Share> {
        // As many as there are identities; their number is the administrator's.
        Arc::clone(self.shares.lock().entry(name.clone()).or_insert_with(|| Share::new(&self.limits, Part::Half)))
    }
}

/// What a call shows of who makes it.
#[derive(Clone, Copy)]
struct Shows<'c> {
    headers: &'c HeaderMap,
    extensions: &'c Extensions,
    /// Its path.
    method: &'c str,
}

fn new_key() -> LedgerKey {
    let mut bits = [0; 32];
    rand::rngs::OsRng.fill_bytes(&mut bits);
    LedgerKey(bits)
}

/// The token that a header shows.
fn bearer(shown: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = shown.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// The names that the client certificate of a connection has; none where none was shown.
fn certificate_names(extensions: &Extensions) -> &[Box<str>] {
    extensions.get::<CertificateNames>().map(|CertificateNames(names)| &**names).unwrap_or_default()
}

/// Makes [`BehindDoor`] services.
#[derive(Clone)]
pub(in crate::service) struct DoorLayer {
    door: Arc<Door>,
    rules: Arc<BTreeMap<String, &'static Rule>>,
    refusals: Arc<Lines>,
}

impl DoorLayer {
    /// Before all methods of this encoded descriptor set.
    pub(in crate::service) fn new(door: Arc<Door>, contract: &[u8], refusals: Arc<Lines>) -> Self {
        let rules = methods_of(contract).into_iter().filter_map(|(path, name, _)| Some((path, rule_of(&name)?)));
        Self { door, rules: Arc::new(rules.collect()), refusals }
    }

    /// What somebody is answered who is not let in. It is counted and told as all refusals are.
    fn refuse(&self, rule: &'static Rule, refusal: Refusal, began: Instant) -> Response<Body> {
        let status = Status::from(refusal);
        count(rule.method.into(), status.code(), began);
        told::refused(&self.refusals, rule.method, &status);
        status.into_http()
    }
}

impl<S> Layer<S> for DoorLayer {
    type Service = BehindDoor<S>;

    fn layer(&self, inner: S) -> BehindDoor<S> {
        BehindDoor { inner, layer: self.clone() }
    }
}

/// A service behind the door.
#[derive(Clone)]
pub(in crate::service) struct BehindDoor<S> {
    inner: S,
    layer: DoorLayer,
}

impl<S> Service<Request<Body>> for BehindDoor<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The clone is not polled for readiness; the one that was is used up by this call.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        // Health is asked by probes, and reflection says nothing that is not public.
        let Some(rule) = self.layer.rules.get(request.uri().path()).copied() else { return inner.call(request).boxed() };
        let (layer, began) = (self.layer.clone(), Instant::now());
        async move {
            let (headers, extensions, method) = (request.headers(), request.extensions(), request.uri().path());
            let caller = layer.door.caller(Shows { headers, extensions, method }, rule).await;
            let counted = caller.and_then(|caller| caller.share.count_call().map(|()| caller));
            match counted {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    inner.call(request).await
                }
                Err(refusal) => Ok(layer.refuse(rule, refusal, began)),
            }
        }
        .boxed()
    }
}
