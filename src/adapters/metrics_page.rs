//! The address of the figures: two pages over HTTP, for the inside of a network. Few are served at a time and nobody for long, so that whoever reads them, or
//! only connects, takes no descriptors from the ledger.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections that are served at a time; more are closed at once. Judgement: a Prometheus or two, probes, somebody who looks.
const AT_ONCE: usize = 32;
/// How long one may take, its answer included.
const WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a request that are read.
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// How long nothing is taken after taking failed.
const PAUSE: Duration = Duration::from_millis(100);
/// How often histograms are put in order, so that a page is made fast.
const TIDIED_EVERY: Duration = Duration::from_secs(5);

/// Serves the pages until it is dropped.
pub(super) async fn serve(listener: TcpListener, figures: PrometheusHandle) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tidy = tokio::time::interval(TIDIED_EVERY);
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            _ = tidy.tick() => {
                figures.run_upkeep();
                continue;
            }
        };
        let Ok((stream, _)) = taken else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let figures = figures.clone();
        tokio::spawn(async move {
            let _place = place;
            // Whoever is slow, or gone, is not answered.
            drop(tokio::time::timeout(WITHIN, answer(stream, &figures)).await);
        });
    }
}

/// Answers one request, and closes.
async fn answer(mut stream: TcpStream, figures: &PrometheusHandle) -> io::Result<()> {
    let mut request = Vec::with_capacity(1 << 10);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if request.len() >= REQUEST_BYTES_MAX || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let (status, body) = page(&String::from_utf8_lossy(line), figures);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    if !line.starts_with(b"HEAD ") {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}

/// The status and the page that a request's first line asks for.
fn page(line: &str, figures: &PrometheusHandle) -> (&'static str, String) {
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match (method, target.split('?').next().unwrap_or_default()) {
        ("GET" | "HEAD", "/metrics") => ("200 OK", figures.render()),
        ("GET" | "HEAD", "/health") => ("200 OK", "OK".to_owned()),
        ("GET" | "HEAD", _) => ("404 Not Found", "the pages here are /metrics and /health\n".to_owned()),
        _ => ("405 Method Not Allowed", "GET /metrics or /health\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    async fn started() -> std::net::SocketAddr {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || metrics::counter!("selfsame_tried_total").increment(3));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, recorder.handle()));
        address
    }

    async fn asked(address: std::net::SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        said
    }

    #[tokio::test]
    async fn there_are_two_pages_and_nothing_else() {
        let address = started().await;
        let of = async |line: &str| asked(address, &format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert!(of("GET /metrics").await.ends_with("selfsame_tried_total 3\n\n"), "{}", of("GET /metrics").await);
        assert!(of("GET /health").await.ends_with("\r\n\r\nOK"));
        assert!(of("HEAD /health").await.ends_with("\r\n\r\n"));
        assert!(of("GET /").await.starts_with("HTTP/1.1 404") && of("POST /metrics").await.starts_with("HTTP/1.1 405"));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_says_nothing_is_cut_off_and_many_are_not_served_at_once() {
        let address = started().await;
        let mut silent = Vec::new();
        for _ in 0..AT_ONCE {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        // The page needs a place, and there is none until somebody has been silent for too long.
        let mut beyond = TcpStream::connect(address).await.unwrap();
        assert_eq!(beyond.read(&mut [0]).await.unwrap_or(0), 0);
        for stream in &mut silent {
            assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
        }
        assert!(asked(address, "GET /health HTTP/1.1\r\n\r\n").await.ends_with("OK"));
    }
}
