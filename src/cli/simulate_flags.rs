//! What the flags of `simulate` have in common, whatever is simulated.

use std::net::SocketAddr;

use crate::simulate::ports::ServeError;

/// A list of faults has some kilobytes.
pub(crate) const FAULTS_BYTES_MAX: u64 = 16 << 20;

/// Where something listens: a port of this machine, or an address of it.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let found = match text.parse::<u16>() {
        Ok(port) => SocketAddr::from(([127, 0, 0, 1], port)),
        Err(_no_port) => text.parse::<SocketAddr>().map_err(|e| e.to_string())?,
    };
    if found.ip().is_loopback() {
        Ok(found)
    } else {
        Err(ServeError::NotLoopback(found).to_string())
    }
}
