//! The least HTTP client there is: one request a connection, so that nothing of it is measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(300);

/// Sends a GET and returns status and body.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<(u16, Vec<u8>)> {
    send(
        address,
        &format!("GET {path} HTTP/1.0\r\nHost: bench\r\n\r\n"),
    )
}

/// Posts a form and returns the body of a 200.
pub(crate) fn post(address: SocketAddr, path: &str, form: &[(&str, String)]) -> Result<Vec<u8>> {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: bench\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
        body.len()
    );
    match send(address, &head)? {
        (200, body) => Ok(body),
        (status, body) => bail!("status {status}: {}", String::from_utf8_lossy(&body)),
    }
}

fn send(address: SocketAddr, request: &str) -> Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("connect {address}"))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .context("an answer without head")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .context("no status")?;
    Ok((status, answer.split_off(end + 4)))
}
