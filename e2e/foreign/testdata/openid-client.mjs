// A relying party made of the npm package openid-client. It is told an issuer, itself, and
// what to do; it says where the person must go and hears where that led.
import * as client from 'openid-client'
import { hear, run, say } from './talk.mjs'

const insecure = { execute: [client.allowInsecureRequests] } // the issuer of a test is http

// signIn sends the person to the authorization endpoint and redeems what comes back.
async function signIn(config, o, { parameters = {}, push = false, request, dpop, checks = {} } = {}) {
  const verifier = client.randomPKCECodeVerifier()
  const expected = { pkceCodeVerifier: verifier, expectedState: client.randomState(), expectedNonce: client.randomNonce(), idTokenExpected: true, ...checks }
  parameters = {
    redirect_uri: o.redirect_uri,
    scope: o.scope,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state: expected.expectedState,
    nonce: expected.expectedNonce,
    ...parameters,
  }
  let url
  if (request) url = await client.buildAuthorizationUrlWithJAR(config, parameters, request)
  else if (push) url = await client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP: dpop })
  else url = client.buildAuthorizationUrl(config, parameters)
  say('authorize', { url: url.href })
  const back = await hear()
  const answer = back.form
    ? new Request(back.url, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: back.form })
    : new URL(back.url)
  return client.authorizationCodeGrant(config, answer, expected, undefined, { DPoP: dpop })
}

async function about(config, tokens, dpop) {
  const claims = tokens.claims()
  return { claims, userinfo: await client.fetchUserInfo(config, tokens.access_token, claims.sub, { DPoP: dpop }) }
}

const brief = (t) => ({ token_type: t.token_type, expires_in: t.expires_in, scope: t.scope, id_token: t.id_token, access_token: t.access_token })

const flows = {
  async code(config, o) {
    const tokens = await signIn(config, o)
    const first = await about(config, tokens)
    const next = await client.refreshTokenGrant(config, tokens.refresh_token)
    const info = await client.tokenIntrospection(config, next.access_token)
    const bye = client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: o.goodbye, state: 'bye' })
    await client.tokenRevocation(config, next.refresh_token)
    let after = info // another node may answer, and may be some hundred milliseconds behind
    for (let i = 0; after.active && i < 40; i++) {
      after = await client.tokenIntrospection(config, next.access_token)
      await new Promise((done) => setTimeout(done, 50))
    }
    say('done', { ...first, refreshed: brief(next), rotated: next.refresh_token !== tokens.refresh_token, active: info.active, after: after.active, end_session: bye.href })
  },

  async public(config, o) {
    const tokens = await signIn(config, o)
    say('done', await about(config, tokens))
  },

  async par(config, o) {
    const tokens = await signIn(config, o, { push: true })
    say('done', await about(config, tokens))
  },

  async form_post(config, o) {
    const tokens = await signIn(config, o, { parameters: { response_mode: 'form_post' } })
    say('done', await about(config, tokens))
  },

  async jarm(config, o) {
    client.useJwtResponseMode(config)
    const tokens = await signIn(config, o, { push: true })
    say('done', await about(config, tokens))
  },

  async device(config, o) {
    const device = await client.initiateDeviceAuthorization(config, { scope: o.scope })
    say('authorize', { url: device.verification_uri_complete })
    await hear()
    const tokens = await client.pollDeviceAuthorizationGrant(config, device)
    say('done', await about(config, tokens))
  },

  async ciba(config, o) {
    const asked = await client.initiateBackchannelAuthentication(config, { scope: o.scope, login_hint: o.login_hint, binding_message: 'W4SCT' })
    say('asked', { message: 'W4SCT' })
    const tokens = await client.pollBackchannelAuthenticationGrant(config, asked)
    say('done', await about(config, tokens))
  },

  // What FAPI 2.0 wants: a key instead of a secret, pushed requests, tokens bound to a key.
  async fapi(config, o) {
    const dpop = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
    const tokens = await signIn(config, o, { push: true, dpop })
    const first = await about(config, tokens, dpop)
    const next = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: dpop })
    say('done', { ...first, token_type: tokens.token_type, refreshed: brief(next) })
  },

  async jar(config, o) {
    const tokens = await signIn(config, o, { request: o.key })
    say('done', await about(config, tokens))
  },

  async credentials(config) {
    const tokens = await client.clientCredentialsGrant(config)
    say('done', brief(tokens))
  },
}

await run(async (o) => {
  if (o.auth === 'key') { // its own, which the test registers
    const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
    o.key = { key: pair.privateKey, kid: 'its-own' }
    const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey)
    say('key', { jwk: { kty, crv, x, y, kid: 'its-own', use: 'sig', alg: 'ES256' } })
    o.client_id = (await hear()).client_id
  }
  const auth = { key: () => client.PrivateKeyJwt(o.key), post: () => client.ClientSecretPost(o.secret), basic: () => client.ClientSecretBasic(o.secret), none: () => client.None() }[o.auth ?? 'basic']()
  const config = await client.discovery(new URL(o.issuer), o.client_id, undefined, auth, insecure)
  await flows[o.flow](config, o)
})
