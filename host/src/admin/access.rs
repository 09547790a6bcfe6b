//! Who asks, and what they may touch.

use cordboard_tenant::version_store::Digest;
use subtle::ConstantTimeEq as _;

use crate::config::AdminToken;

/// Those who may ask.
pub(super) struct Tokens(Vec<(Digest, Operator)>);

/// Somebody whose token was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operator {
    /// What the audit log calls them.
    pub(super) who: String,
    /// What they may touch.
    pub(super) scope: Scope,
}

/// What an operator may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// Every tenant, and the gateway itself.
    All,
    /// One tenant, by its name.
    Tenant(String),
}

impl Tokens {
    pub(super) fn new(tokens: &[AdminToken]) -> Self {
        let known = tokens.iter().map(|token| {
            let scope = token.tenant.clone().map_or(Scope::All, Scope::Tenant);
            let digest = Digest::of(token.secret.expose().as_bytes());
            (digest, Operator { who: token.who.clone(), scope })
        });
        Self(known.collect())
    }

    /// Recognises who shows `token`. The time it takes tells nothing about any token, not even its length:
    /// digests are compared, whole and with every known one.
    pub(super) fn recognise(&self, token: &str) -> Option<&Operator> {
        let shown = Digest::of(token.as_bytes());
        let matches = |known: &Digest| bool::from(known.as_bytes().ct_eq(shown.as_bytes()));
        // Not `find`: it stops at the first, and that takes a shorter time.
        self.0.iter().fold(None, |found, (known, operator)| match matches(known) {
            true => Some(operator),
            false => found,
        })
    }
}

impl Operator {
    /// Whether they may touch this tenant.
    pub(super) fn may_touch(&self, tenant: &str) -> bool {
        match &self.scope {
            Scope::All => true,
            Scope::Tenant(own) => own == tenant,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_token_opens_what_it_is_for_and_nothing_else() {
        let token = |who: &str, tenant: Option<&str>, secret: &str| AdminToken {
            who: who.to_owned(),
            tenant: tenant.map(str::to_owned),
            secret: Secret::new(secret),
        };
        let tokens = Tokens::new(&[
            token("admin", None, "the-token-of-the-admin"),
            token("tenant acme", Some("acme"), "the-token-of-acme-alone"),
        ]);

        let admin = tokens.recognise("the-token-of-the-admin").unwrap();
        assert!(admin.may_touch("acme") && admin.may_touch("other"));
        let acme = tokens.recognise("the-token-of-acme-alone").unwrap();
        assert!(acme.may_touch("acme") && !acme.may_touch("other"));
        for wrong in
            ["", "the-token-of-the-admi", "the-token-of-the-admin ", "THE-TOKEN-OF-THE-ADMIN"]
        {
            assert_eq!(tokens.recognise(wrong), None, "{wrong}");
        }
        assert_eq!(Tokens::new(&[]).recognise(""), None);
    }
}
