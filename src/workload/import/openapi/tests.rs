//! Small descriptions made in place.

use super::*;

const PETS: &str = r#"
openapi: 3.0.3
info: {title: Pets, version: "1"}
servers:
  - url: https://api.example/{stage}
    variables: {stage: {default: v1}}
paths:
  x-internal: {}
  /pets:
    get:
      parameters:
        - {name: limit, in: query, schema: {type: integer, default: 20}}
        - name: tag
          in: query
          required: true
          schema: {type: array, items: {type: string, example: "a b"}}
        - {name: cursor, in: query, schema: {type: string}}
        - {name: X-Tenant, in: header, required: true, schema: {type: string}, example: acme}
        - {name: X-Api-Key, in: header, required: true, schema: {type: string}, example: hunter2x}
        - {name: sid, in: cookie, schema: {type: string}}
      responses:
        default: {description: any}
        '200':
          description: ok
          content: {application/json: {}}
    post:
      requestBody:
        required: true
        content:
          application/xml: {schema: {$ref: '#/components/schemas/Pet'}}
          application/json: {schema: {$ref: '#/components/schemas/Pet'}}
      responses: {'201': {description: made}}
  /pets/{petId}/photos/{name}:
    parameters:
      - {name: petId, in: path, required: true, schema: {type: integer}}
    put:
      parameters:
        - $ref: '#/components/parameters/Name'
      requestBody:
        content:
          multipart/form-data:
            schema:
              type: object
              properties:
                file: {type: string, format: binary}
                note: {type: string}
      responses: {2XX: {description: ok}}
    delete: {$ref: '#/elsewhere'}
  /search:
    get:
      parameters:
        - name: filter
          in: query
          required: true
          style: deepObject
          schema: {type: object, properties: {min: {type: integer}}}
        - name: ids
          in: query
          required: true
          explode: false
          schema: {type: array, items: {type: integer}}
  /login:
    post:
      requestBody:
        content:
          application/x-www-form-urlencoded:
            schema:
              properties:
                user: {type: string}
                password: {type: string, example: hunter2x}
  /blob:
    post:
      requestBody:
        required: true
        content: {application/octet-stream: {schema: {type: object}}}
  relative:
    get: {}
components:
  parameters:
    Name: {name: name, in: path, required: true, schema: {type: string}, example: "é/x"}
  schemas:
    Pet:
      type: object
      required: [name]
      properties:
        name: {type: string, example: Rex}
        parent: {$ref: '#/components/schemas/Pet'}
"#;

fn import(text: &str) -> Result<Imported, ImportError> {
    let options = ImportOptions {
        key: Some([1; 32]),
        lenient: true,
        ..ImportOptions::default()
    };
    import_openapi(text.as_bytes(), &options)
}

fn shown(imported: &Imported) -> Vec<String> {
    let shown = imported.requests.iter().map(|it| {
        let body = String::from_utf8_lossy(&it.body);
        format!("{} {} {body}", it.method.as_str(), it.path)
    });
    shown.collect()
}

#[test]
fn every_operation_is_one_request() {
    let imported = import(PETS).unwrap();
    let requests = shown(&imported);
    assert_eq!(requests.len(), 6, "{requests:#?}");
    let by_path = |path: &str| {
        let found = imported
            .requests
            .iter()
            .find(|it| it.path.starts_with(path));
        found.unwrap_or_else(|| panic!("{path} in {requests:#?}"))
    };
    let list = by_path("/v1/pets?");
    assert_eq!(list.path, "/v1/pets?limit=20&tag=a%20b");
    assert_eq!(list.expect_status, Some(200));
    assert_eq!(
        list.headers,
        [
            ("accept".to_owned(), "application/json".to_owned()),
            ("X-Tenant".to_owned(), "acme".to_owned())
        ]
    );
    let made = imported
        .requests
        .iter()
        .find(|it| it.expect_status == Some(201))
        .unwrap();
    assert_eq!(made.body, b"{\"name\":\"Rex\"}");
    assert_eq!(made.headers[0].1, "application/json");
    let photo = by_path("/v1/pets/1/photos/");
    assert_eq!(photo.path, "/v1/pets/1/photos/%C3%A9%2Fx");
    assert_eq!(photo.endpoint, "PUT /v1/pets/{petId}/photos/{name}");
    assert_eq!(photo.expect_status, None);
    let body = String::from_utf8_lossy(&photo.body);
    assert!(
        body.contains("name=\"file\"; filename=\"file.txt\""),
        "{body}"
    );
    let search = by_path("/v1/search");
    assert_eq!(search.path, "/v1/search?filter%5Bmin%5D=1&ids=1");
    let login = String::from_utf8_lossy(&by_path("/v1/login").body).into_owned();
    assert!(
        login.contains("user=text") && !login.contains("hunter2x"),
        "{login}"
    );
    let summary = &imported.summary;
    assert_eq!((summary.read, summary.kept), (8, 6));
    let reasons: Vec<&&str> = summary.skipped.keys().collect();
    assert_eq!(
        reasons,
        [
            &"its path does not begin with `/`",
            &"no example for a body of its media type",
        ]
    );
    assert_eq!(summary.hosts["api.example"], 6);
    let sessions: std::collections::BTreeSet<&str> = imported
        .requests
        .iter()
        .map(|it| it.session.as_str())
        .collect();
    assert_eq!(sessions.len(), 6, "nobody waits for another");
}

#[test]
fn swagger_2_is_read_as_well() {
    let text = r##"{"swagger": "2.0", "host": "Old.example", "basePath": "/api/",
        "consumes": ["application/json"], "produces": ["text/plain"],
        "definitions": {"Item": {"properties": {"n": {"type": "integer"}}}},
        "paths": {
          "/items": {"post": {"parameters": [
              {"name": "body", "in": "body", "required": true,
               "schema": {"$ref": "#/definitions/Item"}}], "responses": {"201": {}}},
            "get": {"parameters": [
              {"name": "ids", "in": "query", "required": true, "type": "array",
               "items": {"type": "integer"}},
              {"name": "tags", "in": "query", "required": true, "type": "array",
               "items": {"type": "string", "enum": ["x"]}, "collectionFormat": "multi"}]}},
          "/up": {"post": {"consumes": ["multipart/form-data"], "parameters": [
              {"name": "f", "in": "formData", "type": "file", "required": true},
              {"name": "g", "in": "formData", "type": "string", "default": "d"}]}}}}"##;
    let imported = import(text).unwrap();
    let requests = shown(&imported);
    assert_eq!(requests[0], "GET /api/items?ids=1&tags=x ");
    assert_eq!(requests[1], "POST /api/items {\"n\":1}");
    assert!(
        requests[2].contains("filename=\"file.txt\"\r\n\r\ntext\r\n"),
        "{}",
        requests[2]
    );
    assert_eq!(imported.summary.hosts["old.example"], 3);
    assert_eq!(imported.requests[0].headers[0].1, "text/plain");
}

#[test]
fn files_that_are_no_description_say_why() {
    for (text, said) in [
        ("", "neither OpenAPI 3 nor Swagger 2"),
        ("{\"openapi\": \"4.0\"}", "neither OpenAPI 3 nor Swagger 2"),
        ("{\"openapi\": \"3.0", "cut off at line 1"),
        ("{\"openapi\": }", "breaks at line 1"),
        ("a: [b", "cannot be read as YAML: it breaks at line"),
        ("openapi: 3.1.0", "none of 0 operations"),
        (
            "openapi: 3.1.0\npaths: {/a: {get: 5}}",
            "the operation is no object",
        ),
        (
            "openapi: 3.1.0\npaths: {/a: {$ref: other.yaml}}",
            "another file",
        ),
        (
            "openapi: 3.1.0\npaths: {/a: {get: {parameters: [{$ref: '#/x'}]}}}",
            "another file",
        ),
        (
            "openapi: 3.1.0\npaths: {/a: {get: {parameters: [{name: q, in: query, \
             required: true}]}}}",
            "no example for a parameter",
        ),
    ] {
        let error = import(text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    let mut utf16 = import_openapi(&b"\xc3\x28"[..], &ImportOptions::default());
    let error = utf16.as_mut().unwrap_err().to_string();
    assert!(error.contains("no text in UTF-8"), "{error}");
}
