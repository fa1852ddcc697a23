//! The client of task http: one GET over TCP to the run's own server, in the variants that the systems need.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::error::{RootError, failed};

/// An answer longer than this is not one of the run's own server.
const ANSWER_MOST: usize = 64 * 1024;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Where the run's server listens.
pub fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The bytes of a GET that the server answers after `ms` milliseconds.
pub fn request(ms: u32) -> Vec<u8> {
    format!("GET /{ms} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").into_bytes()
}

/// An answer in the making.
#[derive(Debug, Default)]
pub struct Answer {
    bytes: Vec<u8>,
}

impl Answer {
    /// Takes in what one read brought (nothing: the server has closed); the length of the body once the answer is whole.
    pub fn take(&mut self, chunk: &[u8]) -> Result<Option<u64>, RootError> {
        self.bytes.extend_from_slice(chunk);
        let whole = self.body()?;
        if whole.is_none() && (chunk.is_empty() || self.bytes.len() > ANSWER_MOST) {
            let got = self.bytes.len();
            return Err(RootError::Worker(format!("the loopback server sent an incomplete response of {got} bytes")));
        }
        Ok(whole)
    }

    fn body(&self) -> Result<Option<u64>, RootError> {
        let Some(end) = self.bytes.windows(END_OF_HEAD.len()).position(|w| w == END_OF_HEAD) else { return Ok(None) };
        let head = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default();
        if !status.starts_with("HTTP/1.1 200 ") {
            return Err(RootError::Worker(format!("the loopback server responded {status:?}")));
        }
        let length = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let length = length.ok_or_else(|| RootError::Worker("the loopback server sent no content length".into()))?;
        let here = self.bytes.len() - end - END_OF_HEAD.len();
        Ok((here >= length).then_some(length as u64))
    }
}

/// Connects and sends the request; what comes back is still to be read.
pub fn ask(port: u16, ms: u32) -> Result<TcpStream, RootError> {
    let mut stream = TcpStream::connect(address(port)).map_err(failed(format!("connecting to the server on port {port}")))?;
    stream.write_all(&request(ms)).map_err(failed("sending a GET"))?;
    Ok(stream)
}

/// A whole GET with calls that block; the length of the body.
pub fn fetch(port: u16, ms: u32) -> Result<u64, RootError> {
    let mut stream = ask(port, ms)?;
    let (mut answer, mut buffer) = (Answer::default(), [0; 4096]);
    loop {
        let n = match stream.read(&mut buffer) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            other => other.map_err(failed("reading the answer to a GET"))?,
        };
        if let Some(length) = answer.take(&buffer[..n])? {
            return Ok(length);
        }
    }
}

/// A whole GET by an async task; the length of the body.
pub async fn fetch_async(port: u16, ms: u32) -> Result<u64, RootError> {
    let connected = tokio::net::TcpStream::connect(address(port)).await;
    let mut stream = connected.map_err(failed(format!("connecting to the server on port {port}")))?;
    stream.write_all(&request(ms)).await.map_err(failed("sending a GET"))?;
    let (mut answer, mut buffer) = (Answer::default(), [0; 4096]);
    loop {
        let n = stream.read(&mut buffer).await.map_err(failed("reading the answer to a GET"))?;
        if let Some(length) = answer.take(&buffer[..n])? {
            return Ok(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_length_is_there() {
        let mut answer = Answer::default();
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\nConnection: close\r\n\r\nhello";
        for byte in &bytes[..bytes.len() - 1] {
            assert_eq!(answer.take(&[*byte]).unwrap(), None);
        }
        assert_eq!(answer.take(b"o").unwrap(), Some(5));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let one = |bytes: &[u8]| Answer::default().take(bytes).unwrap_err().to_string();
        assert!(one(b"").contains("incomplete response of 0 bytes"));
        assert!(one(b"HTTP/1.1 400 Bad Request\r\n\r\n").contains("400"));
        assert!(one(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").contains("no content length"));
        assert!(one(&vec![b'x'; ANSWER_MOST + 1]).contains("incomplete response"));
        let mut cut = Answer::default();
        assert_eq!(cut.take(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").unwrap(), None);
        assert!(cut.take(b"").is_err(), "the server closed too early");
    }
}
