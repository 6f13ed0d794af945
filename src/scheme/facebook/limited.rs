//! The OIDC form of Limited Login: a signed token that says itself whose it is
//! (developers.facebook.com/docs/facebook-login/limited-login/token).
//!
//! Verified with Facebook's key set; Graph is not asked, and knows nothing of it.

use crate::decision::{Denial, Failure, Reason};
use crate::directory::reads::Reads;
use crate::identity::TokenRef;
use crate::keys::remote::{KeySet, Settings as KeySetSettings};
use crate::keys::{Algorithm, Source};
use crate::outbound::Outbound;
use crate::scheme::facebook::answer::Vouched;
use crate::scheme::{Demands, Keeping, Token, check_signed, text_claim, unrevoked};

/// What Facebook calls itself in tokens.
const ISSUER: &str = "https://www.facebook.com";

/// What verifies the tokens of one app.
#[derive(Debug)]
pub(super) struct Limited {
    keys: KeySet,
    demands: Demands,
}

impl Limited {
    /// Makes one, which asks nobody yet. `leeway` is in seconds.
    ///
    /// # Errors
    /// That the cryptography of this build does not work.
    pub(super) fn new(
        app_id: &str,
        jwks_url: String,
        leeway: u64,
        outbound: &Outbound,
    ) -> Result<Self, &'static str> {
        let usual = Keeping {
            keep: None,
            cool_down: None,
        };
        let (keep, cool_down) = usual.check(&mut |_, _| ());
        let keys = KeySetSettings {
            issuer: ISSUER.to_owned(),
            source: Source::KeySet(jwks_url),
            algorithms: vec![Algorithm::Rs256],
            keep,
            cool_down,
        };
        Ok(Self {
            keys: KeySet::new(keys, outbound)?,
            demands: Demands {
                issuers: vec![ISSUER.to_owned()],
                audience: vec![app_id.to_owned()],
                required: ["iss", "aud", "sub"].map(str::to_owned).to_vec(),
                leeway,
            },
        })
    }

    /// Gives for whom the token stands: the same id as an access token of the app has.
    ///
    /// # Errors
    /// A denial where it is not valid now, a fault where that cannot be told.
    pub(super) async fn check(
        &self,
        text: &str,
        reads: &Reads,
    ) -> Result<(Vouched, TokenRef), Failure> {
        let token = Token::parse(text)?;
        if token.algorithm != Algorithm::Rs256 {
            return Err(denied(Reason::Unknown, "Facebook signs with RS256").into());
        }
        // Before Facebook is asked for its keys: a token that is not for us leads nowhere.
        let ends = self.demands.check(&token.claims, reads.now())?;
        let key = self.keys.key(token.kid.as_deref(), token.algorithm).await?;
        check_signed(&key, &token, reads.prover())?;
        let reference = unrevoked(&token, ends, reads).await?;
        let user = token.claims.get("sub").map(text_claim).transpose()?;
        let vouched = Vouched {
            user: user.unwrap_or_default(),
            expires: Some(ends),
        };
        Ok((vouched, reference))
    }
}

fn denied(reason: Reason, detail: &'static str) -> Denial {
    Denial::new(reason, detail)
}
