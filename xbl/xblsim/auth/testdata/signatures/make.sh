#!/usr/bin/env bash
# Makes the vectors of this directory: requests as they go over the wire, each with a Signature made by the openssl command line and
# no code of this repository. Run it here: bash make.sh. Every run makes a new key, which is not kept, and so new signatures.
#
# What is signed is, with a zero byte after each: the policy version (4 bytes), the time (8 bytes, 100 ns since 1601), the method, path
# and query, the value of Authorization, and the first 8192 bytes of the body. The header is the base64 of the version, the time, and
# the raw signature: r and s, 32 bytes each, where openssl writes DER.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

openssl ecparam -name prime256v1 -genkey -noout -out "$work/key.pem"
# The public key's DER ends with the point: 04, x, y.
openssl ec -in "$work/key.pem" -pubout -outform DER 2>/dev/null | tail -c 64 > "$work/point"
base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
x=$(head -c 32 "$work/point" | base64url)
y=$(tail -c 32 "$work/point" | base64url)
key='{"alg":"ES256","kty":"EC","use":"sig","crv":"P-256","x":"'$x'","y":"'$y'"}'
printf '%s\n' "$key" > proofkey.json

version=00000001
time=$(printf '%016x' $(( ($(date -u -d 2026-01-02T03:04:05Z +%s) + 11644473600) * 10000000 + 1234567 )))

# integer prints the 32 bytes of the n-th INTEGER of a DER signature. asn1parse leaves leading zeros out, or writes them.
integer() {
  openssl asn1parse -inform DER -in "$work/der" | sed -n 's/.*INTEGER *://p' | sed -n "$1p" |
    awk '{ h = $1; while (length(h) < 64) h = "0" h; print substr(h, length(h) - 63) }' | xxd -r -p
}

# vector NAME METHOD TARGET AUTHORIZATION BODY writes NAME.http.
vector() {
  local name=$1 method=$2 target=$3 authorization=$4 body=$5
  {
    printf %s "$version" | xxd -r -p; printf '\0'
    printf %s "$time" | xxd -r -p; printf '\0'
    printf '%s\0' "$method" "$target" "$authorization" "${body:0:8192}"
  } > "$work/signed"
  openssl dgst -sha256 -sign "$work/key.pem" -out "$work/der" "$work/signed"
  local signature
  signature=$({ printf %s "$version$time" | xxd -r -p; integer 1; integer 2; } | openssl base64 -A)
  {
    printf '%s %s HTTP/1.1\nHost: xbl.test\nx-xbl-contract-version: 1\nContent-Type: application/json\n' "$method" "$target"
    if [ -n "$authorization" ]; then printf 'Authorization: %s\n' "$authorization"; fi
    printf 'Signature: %s\nContent-Length: %d\n\n%s' "$signature" "${#body}" "$body"
  } > "$name.http"
}

LC_ALL=C
vector authenticate POST /service/authenticate '' \
  '{"RelyingParty":"http://auth.xboxlive.com","TokenType":"JWT","Properties":{"ProofKey":'"$key"'}}'
vector authorize POST /xsts/authorize '' \
  '{"RelyingParty":"http://xboxlive.com","TokenType":"JWT","Properties":{"ServiceToken":"service","SandboxId":"RETAIL"}}'
vector invite POST /titles/1739947436/invites 'XBL3.0 x=1234567890;access' \
  '{"invitedUsers":["2533274790395904"],"connectionString":"lobby=42"}'
vector server POST /titles/1739947436/invites/server 'XBL3.0 x=-;access' \
  '{"invitedUsers":["2533274790395904"],"sender":"2533274790395905"}'
vector query GET '/a%20b?c=d%2Fe&f' 'XBL3.0 x=-;access' ''
vector long POST /long 'XBL3.0 x=-;access' "$(printf '%09000d' 7)"
