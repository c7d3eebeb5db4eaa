//! The way through a proxy: a tunnel, asked for with `CONNECT`.
//!
//! User and password go into one header of that request, and nowhere else.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{config::proxy::Proxy, segment::line::PROGRAM};

/// The head of a proxy's answer is shorter.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Opens the tunnel to `HOST:PORT`; an error says in words why there is none.
pub(super) async fn open(tcp: &mut TcpStream, proxy: &Proxy, to: &str) -> Result<(), String> {
    let answered = async {
        tcp.write_all(request(proxy, to).as_bytes()).await?;
        let mut head = Vec::new();
        // byte by byte: what comes after the head is not the proxy's
        while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
            head.push(tcp.read_u8().await?);
        }
        Ok::<_, std::io::Error>(head)
    };
    match answered.await {
        Ok(head) => judge(&head, proxy, to),
        Err(why) => Err(format!(
            "the proxy {proxy} ({}) gives no answer: {why}",
            proxy.variable
        )),
    }
}

fn request(proxy: &Proxy, to: &str) -> String {
    let authorization = proxy.user.as_ref().map(|(user, password)| {
        let both = STANDARD.encode(format!("{user}:{}", password.reveal()));
        format!("Proxy-Authorization: Basic {both}\r\n")
    });
    let authorization = authorization.unwrap_or_default();
    format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: {PROGRAM}\r\n{authorization}\r\n")
}

/// What the head of the answer means.
fn judge(head: &[u8], proxy: &Proxy, to: &str) -> Result<(), String> {
    let name = format!("the proxy {proxy} ({})", proxy.variable);
    let head = String::from_utf8_lossy(head);
    let line = head.lines().next().unwrap_or("");
    let mut words = line.splitn(3, ' ');
    let status = match (words.next(), words.next().map(str::parse::<u16>)) {
        (Some(version), Some(Ok(status))) if version.starts_with("HTTP/1.") => status,
        _ => return Err(format!("{name} does not answer as a proxy")),
    };
    let todo = match status {
        200..=299 => return Ok(()),
        407 => format!("put its user and password into {}", proxy.variable),
        403 => format!("ask its operator to let this machine reach {to}"),
        _ => format!("does it reach {to}?"),
    };
    let reason: String = words
        .next()
        .unwrap_or("")
        .chars()
        .filter(|c| !c.is_control())
        .take(80)
        .collect();
    Err(format!(
        "{name} refuses the connection to {to}: {status} {reason}; {todo}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::proxy::Proxies;

    fn proxy(url: &str) -> Proxy {
        let named = |name: &str| (name == "HTTPS_PROXY").then(|| url.to_owned());
        let proxies = Proxies::new(named).unwrap();
        proxies.of(true, "api.x.com").unwrap().clone()
    }

    #[test]
    fn a_user_is_named_in_one_header() {
        let plain = request(&proxy("http://p:3128"), "api.x.com:443");
        assert!(plain.starts_with("CONNECT api.x.com:443 HTTP/1.1\r\nHost: api.x.com:443\r\n"));
        assert!(plain.ends_with("\r\n\r\n") && !plain.contains("Authorization"));
        let with = request(&proxy("http://ann:p%40ss@p:3128"), "api.x.com:443");
        assert!(with.contains("\r\nProxy-Authorization: Basic YW5uOnBAc3M=\r\n\r\n"));
    }

    #[test]
    fn each_answer_is_told_in_its_words() {
        let proxy = proxy("http://ann:p%40ss@p:3128");
        let judge = |head: &str| judge(head.as_bytes(), &proxy, "api.x.com:443");
        assert_eq!(judge("HTTP/1.1 200 Connection established\r\n\r\n"), Ok(()));
        for (head, says) in [
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                "put its user and password into HTTPS_PROXY",
            ),
            (
                "HTTP/1.0 403 Forbidden\r\n\r\n",
                "ask its operator to let this machine reach api.x.com:443",
            ),
            ("HTTP/1.1 502\r\n\r\n", "502 ; does it reach"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "does not answer as a proxy"),
            ("", "does not answer as a proxy"),
        ] {
            let told = judge(head).unwrap_err();
            assert!(told.contains(says), "{told}");
            assert!(told.contains("http://p:3128 (HTTPS_PROXY)") && !told.contains("p@ss"));
        }
    }
}
