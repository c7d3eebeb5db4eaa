//! A proxy with `CONNECT` that leads every name to one port of this machine.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// The proxy, and what was asked of it.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    gone: Arc<AtomicBool>,
}

impl Proxy {
    /// Leads to that port; `answer` gives the status line for the head of a request, and only one with
    /// 200 opens the way.
    pub(crate) fn start(
        to: u16,
        answer: impl Fn(&str) -> &'static str + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heads, gone) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (seen, over, answer) = (Arc::clone(&heads), Arc::clone(&gone), Arc::new(answer));
        thread::spawn(move || {
            for tcp in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || serve(tcp?, to, &seen, &*answer));
            }
        });
        Self { port, heads, gone }
    }

    /// The heads of all requests.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn serve(
    mut tcp: TcpStream,
    to: u16,
    seen: &Mutex<Vec<String>>,
    answer: &dyn Fn(&str) -> &'static str,
) -> io::Result<()> {
    let mut head = String::new();
    let mut reader = BufReader::with_capacity(1, tcp.try_clone()?);
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let line = answer(&head);
    seen.lock().unwrap().push(head);
    write!(tcp, "HTTP/1.1 {line}\r\n\r\n")?;
    if !line.starts_with("200") {
        return Ok(());
    }
    let api = TcpStream::connect(("127.0.0.1", to))?;
    let (mut up, mut down) = (api.try_clone()?, tcp.try_clone()?);
    thread::spawn(move || {
        let copied = io::copy(&mut tcp, &mut up);
        up.shutdown(Shutdown::Write).and(copied)
    });
    io::copy(&mut { api }, &mut down)?;
    down.shutdown(Shutdown::Both)
}
