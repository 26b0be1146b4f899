//! Whole answers of one side, asked for one at a time and outside of any load.

use super::preflight::{PreflightError, Terms, chain, client, send};
use crate::workload::{Request, Target};

/// Larger bodies are not kept, in bytes.
const BODY_MAX: usize = 1024 * 1024;
/// Recorded headers that would hide the body: as it is packed, or that it need not be sent.
const HIDING: &[&str] = &["accept-encoding", "if-none-match", "if-modified-since"];

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The status.
    pub status: u16,
    /// The header fields in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body; absent when it was larger than 1 MiB.
    pub body: Option<Vec<u8>>,
}

/// Somebody who asks one side.
#[derive(Debug)]
pub struct Asker {
    client: reqwest::Client,
    target: Target,
}

impl Asker {
    /// Asks at the address that the target was pinned to; `None` when it was not.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(target: &Target, terms: Terms<'_>) -> Result<Option<Self>, PreflightError> {
        let Some(address) = &target.address else {
            return Ok(None);
        };
        Ok(Some(Self {
            client: client(target, address, terms)?,
            target: target.clone(),
        }))
    }

    /// Host and port of the side, as its own answers may name them.
    pub fn authority(&self) -> &str {
        &self.target.authority
    }

    /// The answer to one request.
    ///
    /// # Errors
    /// Why there was none, in words.
    pub async fn ask(&self, request: &Request) -> Result<Whole, String> {
        let mut response = send(&self.client, &self.target, request, HIDING).await?;
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
        let (status, headers) = (response.status().as_u16(), headers.collect());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
            if body.len() + chunk.len() > BODY_MAX {
                return Ok(Whole {
                    status,
                    headers,
                    body: None,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Whole {
            status,
            headers,
            body: Some(body),
        })
    }
}
