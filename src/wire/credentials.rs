//! What a call shows of who calls: the headers, and the way in which clients set them. The door of the server reads them.

use std::fmt;

use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// The header of a token: `Bearer`, and the token.
pub const AUTHORIZATION: &str = "authorization";
/// The header by which callers name themselves where nobody is asked who calls.
pub const ACTOR: &str = "selfsame-actor";

/// What every call of a client shows: a token, a name where nobody is asked, or nothing.
#[derive(Clone, Default)]
pub struct Credentials(Option<(&'static str, AsciiMetadataValue)>);

/// What cannot stand in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("holds characters that cannot be sent")]
pub struct CannotBeSent;

impl Credentials {
    /// A token.
    ///
    /// # Errors
    /// [`CannotBeSent`].
    pub fn token(token: &str) -> Result<Self, CannotBeSent> {
        let mut value = AsciiMetadataValue::try_from(format!("Bearer {token}")).map_err(|_| CannotBeSent)?;
        value.set_sensitive(true);
        Ok(Self(Some((AUTHORIZATION, value))))
    }

    /// A name.
    ///
    /// # Errors
    /// [`CannotBeSent`].
    pub fn name(name: &str) -> Result<Self, CannotBeSent> {
        let value = AsciiMetadataValue::try_from(name).map_err(|_| CannotBeSent)?;
        Ok(Self(Some((ACTOR, value))))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.0.as_ref().map_or("none", |(name, _)| name))
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some((name, value)) = &self.0 {
            request.metadata_mut().insert(*name, value.clone());
        }
        Ok(request)
    }
}
