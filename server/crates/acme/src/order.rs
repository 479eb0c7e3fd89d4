//! One order: from the account to a certificate in its file.

use std::path::Path;
use std::time::Duration;

use instant_acme::{
    AuthorizationStatus, ChallengeType, Error as AcmeError, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use tls::CertificateFiles;

use crate::challenges::Challenges;
use crate::error::Error;
use crate::options::Options;
use crate::sockets::HeldSockets;
use crate::{account, file};

/// An order takes no longer.
const ORDER_TIMEOUT: Duration = Duration::from_secs(300);
/// How the authority is asked whether it is done.
const ASKING: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));

/// Gets a certificate and puts it in its file.
pub(crate) async fn renew(options: &Options, held: &HeldSockets) -> Result<(), Error> {
    let got = tokio::time::timeout(ORDER_TIMEOUT, obtain(options, held)).await.unwrap_or(Err(Error::TooLong));
    if let Err(Error::Authority(AcmeError::Api(problem))) = &got
        && problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist")
    {
        account::forget(options)?;
    }
    let text = got?;
    file::replace(&options.certificate(), &text, usable)
}

/// Whether the acceptor will be able to use a file.
fn usable(file: &Path) -> Result<(), Error> {
    let files = CertificateFiles { certificate: file.to_owned(), key: file.to_owned(), stand_in: Vec::new() };
    let options = tls::Options { certificates: vec![files], ..tls::Options::default() };
    tls::check(&options).map(|_| ()).map_err(Error::Unusable)
}

/// A key and its certificate with the chain, in PEM.
async fn obtain(options: &Options, held: &HeldSockets) -> Result<String, Error> {
    let account = account::open(options).await?;
    let names: Vec<_> = options.names.iter().map(|name| Identifier::Dns(name.clone())).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let challenges = Challenges::default();
    // Closed however this function ends.
    let listening = challenges.listen(&options.http_bind, held)?;
    tracing::debug!(addresses = ?listening.addresses(), "waiting for the authority's question");
    prove(&mut order, &challenges).await?;
    match order.poll_ready(&ASKING).await {
        Ok(OrderStatus::Ready) => {}
        Ok(_) | Err(AcmeError::Api(_)) => return Err(Error::Refused { why: why(&mut order).await }),
        Err(error) => return Err(error.into()),
    }
    listening.close().await;
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&ASKING).await?;
    Ok(format!("{key}{chain}"))
}

/// Has the authority ask for every name that it does not take for ours already.
async fn prove(order: &mut Order, challenges: &Challenges) -> Result<(), Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let mut challenge =
            authorization.challenge(ChallengeType::Http01).ok_or(Error::NoHttpChallenge { name })?;
        challenges.insert(&challenge.token, challenge.key_authorization().as_str());
        challenge.set_ready().await?;
    }
    Ok(())
}

/// What the authority has against the names, one after the other.
async fn why(order: &mut Order) -> String {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        let name = state.identifier().to_string();
        let problems = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        reasons.extend(problems.map(|problem| format!("{name}: {problem}")));
    }
    if reasons.is_empty() { "it does not say why".to_owned() } else { reasons.join("; ") }
}
