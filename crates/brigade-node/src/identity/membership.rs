//! Memberships: a manager signs one for each peer, so that peers can check each other without asking the manager.
//!
//! A membership is a PASETO v4.public token. Its payload is a JSON object of five claims, its footer is empty, its
//! implicit assertion is `brigade/1`. It is checked against a `now` that is an argument, so that tests need no clock.

use std::str::FromStr;

use brigade_core::{id::PeerKey, limits, name::Username, time::UnixTime};
use pasetors::{
    Public,
    keys::{AsymmetricPublicKey, AsymmetricSecretKey},
    token::UntrustedToken,
    version4::{PublicToken, V4},
};
use serde::{Deserialize, Serialize};

use super::key::SecretKey;
use crate::clock;

/// A part of each signature, so that a token of another protocol version is never valid for this one.
const IMPLICIT_ASSERTION: &[u8] = b"brigade/1";

/// The claims of a membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The network: its manager's key.
    pub network: PeerKey,
    /// The member's name.
    pub username: Username,
    /// The member's key.
    pub key: PeerKey,
    /// The time when it was signed.
    pub issued: UnixTime,
    /// The time when it ends.
    pub expires: UnixTime,
}

/// The error for a token that is not a valid membership here and now.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MembershipError {
    /// There is no membership.
    #[error("there is no membership")]
    Missing,
    /// The token is too long, not a token, or not signed by the manager of this network.
    #[error("the membership is not signed by this network's manager")]
    Signature,
    /// The token is signed, but its claims are not those of a membership.
    #[error("the membership cannot be read")]
    Claims,
    /// The token was signed for another network.
    #[error("the membership is of another network")]
    Network,
    /// The token is of another member.
    #[error("the membership is for another key")]
    Key,
    /// The token is not valid yet, or not any more.
    #[error("{} by the clock of this machine{}", wrong_time(*.issued, *.expires, *.now), CLOCK_HINT)]
    Time {
        /// The member's name.
        username: Username,
        /// The time when it was signed.
        issued: UnixTime,
        /// The time when it ends.
        expires: UnixTime,
        /// The time of this machine's clock.
        now: UnixTime,
    },
    /// The manager could not sign.
    #[error("signing a membership failed")]
    Signing,
}

/// Advice for a wrong time.
const CLOCK_HINT: &str = ": its clock is wrong, or the manager's; set it (NTP)";

impl MembershipError {
    /// The error as a text for the other machine: it must be clear there which of the two clocks is meant.
    pub fn peer_message(&self) -> String {
        match self {
            Self::Time { issued, expires, now, .. } => {
                let wrong = wrong_time(*issued, *expires, *now);
                format!("{wrong} by the clock of the machine that refuses it{CLOCK_HINT}")
            }
            other => other.to_string(),
        }
    }
}

/// The difference between a membership's time and the current time.
fn wrong_time(issued: UnixTime, expires: UnixTime, now: UnixTime) -> String {
    if issued.0 > now.0 {
        format!("the membership begins in {}", clock::duration_text(issued.0 - now.0))
    } else {
        format!("the membership ended {} ago", clock::duration_text(now.0.saturating_sub(expires.0)))
    }
}

/// The claims in the token.
#[derive(Serialize, Deserialize)]
struct Payload {
    network: String,
    username: String,
    key: String,
    issued: u64,
    expires: u64,
}

/// Signs `claims` with the manager's key. [`Claims::network`] is its public key.
pub fn sign(claims: &Claims, manager: &SecretKey) -> Result<String, MembershipError> {
    let payload = Payload {
        network: claims.network.to_string(),
        username: claims.username.to_string(),
        key: claims.key.to_string(),
        issued: claims.issued.0,
        expires: claims.expires.0,
    };
    let payload = serde_json::to_vec(&payload).map_err(|_| MembershipError::Signing)?;
    let secret =
        AsymmetricSecretKey::<V4>::from(&*manager.paseto_bytes()).map_err(|_| MembershipError::Signing)?;
    PublicToken::sign(&secret, &payload, None, Some(IMPLICIT_ASSERTION)).map_err(|_| MembershipError::Signing)
}

/// The claims of `token`, after a check that `network`'s manager signed it, that it is for `holder`, and that it is
/// valid `now`.
pub fn verify(
    token: Option<&str>,
    network: PeerKey,
    holder: PeerKey,
    now: UnixTime,
) -> Result<Claims, MembershipError> {
    let token = token.ok_or(MembershipError::Missing)?;
    if token.len() > limits::MEMBERSHIP_BYTES {
        return Err(MembershipError::Signature);
    }
    let claims = read(token, network)?;
    if claims.network != network {
        return Err(MembershipError::Network);
    }
    if claims.key != holder {
        return Err(MembershipError::Key);
    }
    let early = claims.issued.0 > now.after(limits::CLOCK_SKEW).0;
    let late = claims.expires.after(limits::CLOCK_SKEW).0 < now.0;
    if early || late {
        let Claims { username, issued, expires, .. } = claims;
        return Err(MembershipError::Time { username, issued, expires, now });
    }
    Ok(claims)
}

fn read(token: &str, network: PeerKey) -> Result<Claims, MembershipError> {
    let public = AsymmetricPublicKey::<V4>::from(&network.0).map_err(|_| MembershipError::Signature)?;
    let token = UntrustedToken::<Public, V4>::try_from(token).map_err(|_| MembershipError::Signature)?;
    let trusted = PublicToken::verify(&public, &token, None, Some(IMPLICIT_ASSERTION))
        .map_err(|_| MembershipError::Signature)?;
    let payload: Payload = serde_json::from_str(trusted.payload()).map_err(|_| MembershipError::Claims)?;
    Ok(Claims {
        network: PeerKey::from_str(&payload.network).map_err(|_| MembershipError::Claims)?,
        username: payload.username.parse().map_err(|_| MembershipError::Claims)?,
        key: PeerKey::from_str(&payload.key).map_err(|_| MembershipError::Claims)?,
        issued: UnixTime(payload.issued),
        expires: UnixTime(payload.expires),
    })
}

#[cfg(test)]
mod tests {
    use super::{Claims, MembershipError, SecretKey, UnixTime, limits, sign, verify};

    const ISSUED: UnixTime = UnixTime(1_800_000_000);

    fn claims(manager: &SecretKey, member: &SecretKey) -> Claims {
        Claims {
            network: manager.public(),
            username: "fire_user".parse().unwrap(),
            key: member.public(),
            issued: ISSUED,
            expires: ISSUED.after(limits::MEMBERSHIP_LIFETIME),
        }
    }

    #[test]
    fn a_membership_is_valid_for_its_member_in_its_network_and_time() {
        let (manager, member, other) = (SecretKey::generate(), SecretKey::generate(), SecretKey::generate());
        let claims = claims(&manager, &member);
        let token = sign(&claims, &manager).unwrap();
        assert!(token.len() <= limits::MEMBERSHIP_BYTES);
        let check = |network: &SecretKey, member: &SecretKey, now| {
            verify(Some(&token), network.public(), member.public(), UnixTime(now))
        };
        let (start, end) = (ISSUED.0, ISSUED.0 + 24 * 3600);
        assert_eq!(check(&manager, &member, start), Ok(claims));
        assert!(check(&manager, &member, start - 300).is_ok());
        assert!(check(&manager, &member, end + 300).is_ok());
        assert!(matches!(check(&manager, &member, start - 301), Err(MembershipError::Time { .. })));
        assert!(matches!(check(&manager, &member, end + 301), Err(MembershipError::Time { .. })));
        let early = check(&manager, &member, start - 47 * 60).unwrap_err();
        let hint = "its clock is wrong, or the manager's; set it (NTP)";
        let says = format!("the membership begins in 47 min by the clock of this machine: {hint}");
        assert_eq!(early.to_string(), says);
        let late = check(&manager, &member, end + 3 * 3600).unwrap_err();
        let says =
            format!("the membership ended 3 h ago by the clock of the machine that refuses it: {hint}");
        assert_eq!(late.peer_message(), says);
        assert_eq!(check(&manager, &other, start), Err(MembershipError::Key));
        assert_eq!(check(&other, &member, start), Err(MembershipError::Signature));
    }

    #[test]
    fn invalid_tokens_are_refused() {
        let (manager, member) = (SecretKey::generate(), SecretKey::generate());
        let token = sign(&claims(&manager, &member), &manager).unwrap();
        let check = |token| verify(token, manager.public(), member.public(), ISSUED);
        assert_eq!(check(None), Err(MembershipError::Missing));
        let long = "v4.public.".to_owned() + &"A".repeat(5000);
        for text in ["", "v4.public.", "v4.public.AAAA", &token[..token.len() - 2], &long, "v4.local.AAAA"] {
            assert_eq!(check(Some(text)), Err(MembershipError::Signature), "{text}");
        }
    }

    #[test]
    fn a_network_that_signs_for_another_is_refused() {
        let (manager, member, other) = (SecretKey::generate(), SecretKey::generate(), SecretKey::generate());
        let token = sign(&Claims { network: other.public(), ..claims(&manager, &member) }, &manager).unwrap();
        let checked = verify(Some(&token), manager.public(), member.public(), ISSUED);
        assert_eq!(checked, Err(MembershipError::Network));
    }
}
