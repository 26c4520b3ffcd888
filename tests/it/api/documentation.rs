//! The reference page and the document behind it.

use crate::support::{answer, tenant};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_page_and_its_assets_come_from_the_gateway_itself() {
    let gateway = tenant().await;
    let get = async |path: &str| {
        let answer = gateway.http.get(gateway.url(path)).send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), kind, answer.text().await.unwrap())
    };

    let (status, kind, page) = get("/docs").await;
    assert!(status == 200 && kind.starts_with("text/html") && page.contains("<base href=\"/docs/\">"), "{page}");
    for asset in page.split(['"', '\'']).filter(|word| word.starts_with("./")) {
        let (status, _, body) = get(&format!("/docs/{}", asset.trim_start_matches("./"))).await;
        assert!(status == 200 && !body.is_empty(), "{asset}");
    }
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing is asked of another host: {page}");

    let (_, document) = answer(gateway.http.get(gateway.url("/docs/json"))).await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["paths"]["/v1/devices/{device}/messages/text"]["post"]["operationId"], json!("sendText"));
    let (status, kind, yaml) = get("/docs/yaml").await;
    assert!(status == 200 && kind == "application/yaml" && yaml.contains("openapi: 3.1.0"), "{kind}");
    assert_eq!(answer(gateway.http.get(gateway.url("/docs/nothing"))).await.0, 404);
}
