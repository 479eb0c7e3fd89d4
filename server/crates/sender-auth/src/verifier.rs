//! Everything that is checked of one message, at the same time and within one limit of time.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use dns::Resolver;
use mail_auth::{AuthenticatedMessage, DkimOutput, MessageAuthenticator};
use message::HeaderBlock;
use model::{Content, ReversePath};
use tokio::time::{Instant, timeout_at};

use crate::arc::{self, ArcFinding};
use crate::body::hash_body;
use crate::dkim::{self, Bodies, DkimFinding};
use crate::dmarc::{self, DmarcFinding, Passed};
use crate::lookups::Lookups;
use crate::outcome::Outcome;
use crate::spf::{self, SpfFinding};

/// Limits of one message's evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Signatures that are verified; those beyond it are `policy`. 10.
    pub signatures: usize,
    /// Questions to DNS, for all checks together; those beyond it are `temperror`. 150.
    pub lookups: usize,
    /// For all of it; what is not known by then is `temperror`. 15 s.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { signatures: 10, lookups: 150, time: Duration::from_secs(15) }
    }
}

/// Who sent a message, as the session knows it.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    pub client: IpAddr,
    /// Reverse DNS that was confirmed.
    pub client_name: Option<&'a str>,
    /// What looking for that name came to; none: nobody has.
    pub reverse_dns: Outcome,
    pub helo: &'a str,
    pub sender: &'a ReversePath,
}

/// What was found out about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    pub client: IpAddr,
    pub client_name: Option<String>,
    pub reverse_dns: Outcome,
    pub helo: String,
    pub sender: ReversePath,
    pub spf_helo: SpfFinding,
    pub spf: SpfFinding,
    pub dkim: Vec<DkimFinding>,
    pub arc: ArcFinding,
    pub dmarc: DmarcFinding,
}

impl Evaluation {
    /// The SPF result that DMARC takes: the sender's, or for the null sender that of the name given with HELO.
    pub fn spf_for_dmarc(&self) -> &SpfFinding {
        match self.sender.mailbox() {
            Some(_) => &self.spf,
            None => &self.spf_helo,
        }
    }
}

/// Checks messages. Has no state but what it was made of; shared by all sessions.
pub struct Verifier {
    /// Made when the first message comes: reading a configuration needs none.
    library: OnceLock<Option<MessageAuthenticator>>,
    hostname: String,
    limits: Limits,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("hostname", &self.hostname)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier of this host.
    pub fn new(hostname: &str, limits: Limits) -> Self {
        Self { library: OnceLock::new(), hostname: hostname.to_owned(), limits }
    }

    fn library(&self) -> io::Result<&MessageAuthenticator> {
        // It knows no name server, and is never let ask one.
        let make = || MessageAuthenticator::new(Default::default(), Default::default()).ok();
        self.library.get_or_init(make).as_ref().ok_or_else(|| io::Error::other("the checks cannot be set up"))
    }

    /// Checks a message as it arrived. Dropping the future abandons the lookups.
    ///
    /// # Errors
    /// The content cannot be read, or the library not be set up. Whatever is wrong with the message is a finding.
    pub async fn verify(
        &self,
        resolver: &dyn Resolver,
        origin: Origin<'_>,
        content: &Content,
    ) -> io::Result<Evaluation> {
        let library = self.library()?;
        let deadline = Instant::from_std(clock::now()) + self.limits.time;
        let lookups = Lookups::new(resolver, origin.client, self.limits.lookups);
        let block = HeaderBlock::read(content)?;
        let parsed = AuthenticatedMessage::parse_with_opts(block.as_bytes(), None, false);
        let mut message = parsed.unwrap_or_default();
        let bodies = bodies(content, block.body_start(), &message).await?;
        bodies.tell(&mut message);
        let spoiled = dkim::set_apart(&mut message, &bodies, self.limits.signatures);
        let (spf_helo, spf, (dkim, passed), arc) = tokio::join!(
            within(deadline, self.spf_helo(library, &lookups, origin), spf_late),
            within(deadline, self.spf(library, &lookups, origin), spf_late),
            within(deadline, dkim::check(library, &lookups, &message, spoiled), dkim_late),
            within(deadline, arc::check(library, &lookups, &message), arc_late),
        );
        let mut evaluation = Evaluation {
            client: origin.client.to_canonical(),
            client_name: origin.client_name.map(str::to_owned),
            reverse_dns: origin.reverse_dns,
            helo: origin.helo.to_owned(),
            sender: origin.sender.clone(),
            spf_helo,
            spf,
            dkim,
            arc,
            dmarc: DmarcFinding::default(),
        };
        evaluation.dmarc =
            within(deadline, dmarc(library, &lookups, &message, &evaluation, &passed), dmarc_late).await;
        Ok(evaluation)
    }

    async fn spf_helo(
        &self,
        library: &MessageAuthenticator,
        lookups: &Lookups<'_>,
        origin: Origin<'_>,
    ) -> SpfFinding {
        let client = origin.client.to_canonical();
        spf::check_helo(library, lookups, client, origin.helo, &self.hostname).await
    }

    async fn spf(
        &self,
        library: &MessageAuthenticator,
        lookups: &Lookups<'_>,
        origin: Origin<'_>,
    ) -> SpfFinding {
        let (client, who) = (origin.client.to_canonical(), (origin.helo, origin.sender));
        spf::check_sender(library, lookups, client, who, &self.hostname).await
    }
}

async fn dmarc(
    library: &MessageAuthenticator,
    lookups: &Lookups<'_>,
    message: &AuthenticatedMessage<'_>,
    evaluation: &Evaluation,
    passed: &[DkimOutput<'_>],
) -> DmarcFinding {
    let spf = evaluation.spf_for_dmarc();
    let passed = Passed { dkim: passed, spf: &spf.output(), spf_domain: &spf.domain };
    dmarc::check(library, lookups, message, passed).await
}

/// The body in the forms that signatures want. One on the disk is read where that may wait.
async fn bodies(content: &Content, start: u64, message: &AuthenticatedMessage<'_>) -> io::Result<Bodies> {
    let forms = Bodies::forms(message);
    if forms.is_empty() || content.source().as_bytes().is_some() {
        let hashes = hash_body(content, start, &forms)?;
        return Ok(Bodies::of(&forms, hashes));
    }
    let (content, wanted) = (content.clone(), forms.clone());
    let hashes = tokio::task::spawn_blocking(move || hash_body(&content, start, &wanted)).await;
    Ok(Bodies::of(&forms, hashes.map_err(io::Error::other)??))
}

async fn within<T>(deadline: Instant, check: impl Future<Output = T>, late: impl FnOnce() -> T) -> T {
    timeout_at(deadline, check).await.unwrap_or_else(|_| late())
}

const LATE: &str = "it took too long";

fn spf_late() -> SpfFinding {
    SpfFinding { domain: String::new(), outcome: Outcome::TempError, reason: Some(LATE), explanation: None }
}

fn dkim_late<'m>() -> (Vec<DkimFinding>, Vec<DkimOutput<'m>>) {
    let late = DkimFinding {
        domain: String::new(),
        selector: String::new(),
        identity: String::new(),
        algorithm: "",
        b: String::new(),
        outcome: Outcome::TempError,
        reason: Some(LATE.to_owned()),
    };
    (vec![late], Vec::new())
}

fn arc_late() -> ArcFinding {
    ArcFinding { outcome: Outcome::TempError, reason: Some(LATE.to_owned()), ..ArcFinding::default() }
}

fn dmarc_late() -> DmarcFinding {
    DmarcFinding { outcome: Outcome::TempError, reason: Some(LATE), ..DmarcFinding::default() }
}
