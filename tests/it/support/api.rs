//! A small API by hand: it answers each connection as the test says, and notes what was asked.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Request {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The minutes of backfill that were asked for.
    pub(crate) fn backfill(&self) -> Option<u8> {
        let (_, minutes) = self.path.split_once("backfill_minutes=")?;
        Some(minutes.parse().unwrap())
    }
}

/// The collector at the other end of a connection.
pub(crate) struct Peer {
    to: Box<dyn ReadAndWrite>,
    gone: Arc<AtomicBool>,
}

pub(crate) trait ReadAndWrite: Read + Write + Send {}
impl<T: Read + Write + Send> ReadAndWrite for T {}

impl Peer {
    /// Sends bytes as they are.
    pub(crate) fn raw(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.to.write_all(bytes.as_ref())?;
        self.to.flush()
    }

    /// Begins a stream.
    pub(crate) fn stream(&mut self, more_headers: &str) -> io::Result<()> {
        self.raw(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\n\
             transfer-encoding: chunked\r\n{more_headers}\r\n"
        ))
    }

    /// Sends one chunk of a stream.
    pub(crate) fn chunk(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let bytes = bytes.as_ref();
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.raw(chunk)
    }

    /// Refuses.
    pub(crate) fn refuse(&mut self, status: u16, more_headers: &str, body: &str) -> io::Result<()> {
        let len = body.len();
        self.raw(format!(
            "HTTP/1.1 {status} No\r\ncontent-length: {len}\r\n{more_headers}\r\n{body}"
        ))
    }

    /// Keeps the connection open and says nothing more, until the test is over.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "it is the last thing an answer does"
    )]
    pub(crate) fn hold(&mut self) -> io::Result<()> {
        while !self.gone.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Whether the test is over.
    pub(crate) fn over(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

/// The API.
pub(crate) struct Api {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    gone: Arc<AtomicBool>,
}

impl Api {
    /// Answers connection after connection, counted from 0, each in its own thread; whatever
    /// `answer` fails at ends that connection.
    pub(crate) fn start(
        answer: impl Fn(usize, &mut Peer) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(answer, |tcp| Ok(Box::new(tcp)))
    }

    /// The same over a connection that is first made into another, such as TLS.
    pub(crate) fn start_with(
        answer: impl Fn(usize, &mut Peer) -> io::Result<()> + Send + Sync + 'static,
        accept: impl Fn(TcpStream) -> io::Result<Box<dyn ReadAndWrite>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let gone = Arc::new(AtomicBool::new(false));
        let (seen, over, both) = (
            Arc::clone(&requests),
            Arc::clone(&gone),
            Arc::new((answer, accept)),
        );
        thread::spawn(move || {
            for tcp in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (seen, over, both) = (Arc::clone(&seen), Arc::clone(&over), Arc::clone(&both));
                thread::spawn(move || {
                    let (answer, accept) = &*both;
                    let tcp = tcp?;
                    tcp.set_nodelay(true)?;
                    let mut peer = Peer {
                        to: accept(tcp)?,
                        gone: over,
                    };
                    let request = read_request(&mut peer.to)?;
                    answer(count(&seen, request), &mut peer)
                });
            }
        });
        Self {
            port,
            requests,
            gone,
        }
    }

    /// What was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        // wakes the listener, so that it sees that it is over
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

/// Notes a request and says which one it is.
fn count(seen: &Mutex<Vec<Request>>, request: Request) -> usize {
    let mut seen = seen.lock().unwrap();
    seen.push(request);
    seen.len() - 1
}

fn read_request(from: &mut dyn ReadAndWrite) -> io::Result<Request> {
    let mut lines = BufReader::with_capacity(1, from).lines();
    let mut next = || {
        lines
            .next()
            .unwrap_or(Err(io::ErrorKind::UnexpectedEof.into()))
    };
    let first = next()?;
    let mut headers = Vec::new();
    loop {
        let line = next()?;
        match line.split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    Ok(Request {
        path: first.split(' ').nth(1).unwrap_or("").to_owned(),
        headers,
    })
}
