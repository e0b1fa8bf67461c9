// An MCP client: the TypeScript SDK finds the authorization server from the endpoint,
// registers (or names its metadata document), sends the person there, and calls a tool.
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { hear, run, say } from './talk.mjs'

// A Holder is what the SDK keeps things in.
class Holder {
  constructor(o) {
    this.o = o
    this.clientMetadataUrl = o.metadata_url
  }
  get redirectUrl() { return this.o.redirect_uri }
  get clientMetadata() {
    return {
      client_name: 'MCP client', redirect_uris: [this.o.redirect_uri], grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'], token_endpoint_auth_method: 'none', scope: 'openid',
    }
  }
  state() { return 'the state' }
  clientInformation() { return this.info }
  saveClientInformation(info) { this.info = info }
  tokens() { return this.saved }
  saveTokens(tokens) { this.saved = tokens }
  redirectToAuthorization(url) { this.authorize = url }
  saveCodeVerifier(verifier) { this.verifier = verifier }
  codeVerifier() { return this.verifier }
}

await run(async (o) => {
  const holder = new Holder(o)
  const endpoint = new URL(o.endpoint)
  const client = new Client({ name: 'foreign', version: '1.0.0' })
  const first = new StreamableHTTPClientTransport(endpoint, { authProvider: holder })
  try {
    await client.connect(first)
    throw new Error('the endpoint let a stranger in')
  } catch (e) {
    if (!(e instanceof UnauthorizedError)) throw e
  }
  say('authorize', { url: holder.authorize.href, client_id: holder.info.client_id })
  const back = new URL((await hear()).url)
  await first.finishAuth(back.searchParams.get('code'))
  await client.connect(new StreamableHTTPClientTransport(endpoint, { authProvider: holder }))
  const answer = await client.callTool({ name: 'whoami', arguments: {} })
  say('done', { text: answer.content[0].text, client_id: holder.info.client_id, refresh: Boolean(holder.saved.refresh_token) })
})
