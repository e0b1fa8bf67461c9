// The scripts and the tests that run them exchange lines of JSON.
import { createInterface } from 'node:readline'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

export async function hear() {
  const { value, done } = await lines.next()
  if (done) process.exit(0)
  return JSON.parse(value)
}

export function say(name, rest = {}) {
  console.log(JSON.stringify({ say: name, ...rest }))
}

// run ends the process with what went wrong, as the test wants to read it.
export async function run(f) {
  try {
    await f(await hear())
    process.exit(0)
  } catch (e) {
    say('failed', { message: String(e?.message), code: e?.code, error: e?.error, description: e?.error_description, cause: String(e?.cause?.message ?? ''), body: e?.cause?.body ?? e?.cause })
    console.error(e)
    process.exit(1)
  }
}
