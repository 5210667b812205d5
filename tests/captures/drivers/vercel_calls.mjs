// Calls of Vercel's AI SDK 7 with its OpenTelemetry integrations: default, usage or legacy.
import { appendFileSync } from 'node:fs'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { SpanKind, SpanStatusCode, context, trace } from '@opentelemetry/api'
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import { LegacyOpenTelemetry, OpenTelemetry } from '@ai-sdk/otel'
import { embed, generateText, isStepCount, registerTelemetry, streamText, tool } from 'ai'
import { z } from 'zod'

const { CAPTURE_SPANS, CAPTURE_URL } = process.env
const nanoseconds = ([seconds, nanos]) => `${seconds}${String(nanos).padStart(9, '0')}`

// A nanosecond time is past what a JavaScript number holds exactly, so it is written as text.
const asLine = span => {
  const { traceId, spanId } = span.spanContext()
  const head = JSON.stringify({
    name: span.name,
    kind: SpanKind[span.kind],
    trace_id: traceId,
    span_id: spanId,
    parent_id: span.parentSpanContext?.spanId ?? null,
  })
  const tail = JSON.stringify({
    status: { code: SpanStatusCode[span.status.code], description: span.status.message ?? null },
    attributes: span.attributes,
    events: span.events.map(({ name, time, attributes }) => ({
      name,
      ts: Number(nanoseconds(time)),
      attributes: attributes ?? {},
    })),
    scope: {
      name: span.instrumentationScope.name,
      version: span.instrumentationScope.version ?? null,
      schema_url: span.instrumentationScope.schemaUrl ?? null,
    },
    resource: span.resource.attributes,
  })
  const times = `"start_ns": ${nanoseconds(span.startTime)}, "end_ns": ${nanoseconds(span.endTime)}`
  return `${head.slice(0, -1)}, ${times}, ${tail.slice(1)}\n`
}

const exporter = {
  export(spans, done) {
    appendFileSync(CAPTURE_SPANS, spans.map(asLine).join(''))
    done({ code: 0 })
  },
  shutdown: async () => {},
}

const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
trace.setGlobalTracerProvider(provider)
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())

const INTEGRATIONS = {
  default: () => new OpenTelemetry(),
  usage: () => new OpenTelemetry({ usage: true }),
  legacy: () => new LegacyOpenTelemetry(),
}
registerTelemetry(INTEGRATIONS[process.argv[2]]())

const openai = createOpenAI({ baseURL: `${CAPTURE_URL}/v1`, apiKey: 'sk-none' })
const anthropic = createAnthropic({ baseURL: `${CAPTURE_URL}/v1`, apiKey: 'none' })

const telemetry = { isEnabled: true, functionId: 'fn-1' }
const request = (model, scenario, options = {}) => ({
  model,
  prompt: `hi scenario:${scenario}`,
  maxRetries: 0,
  telemetry,
  ...options,
})
const generate = (model, scenario, options) => generateText(request(model, scenario, options))
const drain = async (model, scenario, options) => {
  const result = streamText(request(model, scenario, { onError: () => {}, ...options }))
  for await (const _ of result.textStream);
}
const abort = async model => {
  const controller = new AbortController()
  const result = streamText(request(model, 'stream_abort', { abortSignal: controller.signal }))
  let pieces = 0
  for await (const _ of result.textStream) {
    pieces += 1
    if (pieces === 3) controller.abort()
  }
}
const weather = tool({
  description: 'weather',
  inputSchema: z.object({ city: z.string() }),
  execute: async () => 'sunny',
})
const agent = { tools: { get_weather: weather }, stopWhen: isStepCount(3) }
const flex = { providerOptions: { openai: { serviceTier: 'flex' } } }
const claude = anthropic('claude-sonnet-4-5')

const CASES = {
  'vc.oa.chat.plain': () => generate(openai.chat('gpt-4o-mini'), 'plain'),
  'vc.oa.chat.cached': () => generate(openai.chat('gpt-5'), 'cached'),
  'vc.oa.chat.cacheread': () => generate(openai.chat('gpt-5'), 'cacheread'),
  'vc.oa.chat.cachewrite': () => generate(openai.chat('gpt-5'), 'cachewrite'),
  'vc.oa.responses.cached': () => generate(openai.responses('gpt-5'), 'cached'),
  'vc.oa.responses.cachewrite': () => generate(openai.responses('gpt-5'), 'cachewrite'),
  'vc.oa.responses.stream': () => drain(openai.responses('gpt-5'), 'reasoning'),
  'vc.oa.flex': () => generate(openai.chat('gpt-5-mini'), 'flex', flex),
  'vc.oa.stream': () => drain(openai.chat('gpt-4o'), 'stream_usage'),
  'vc.oa.stream_abort': () => abort(openai.chat('gpt-4o')),
  'vc.oa.err429': () => generate(openai.chat('gpt-4o-mini'), 'err429'),
  'vc.oa.stream_err429': () => drain(openai.chat('gpt-4o-mini'), 'err429'),
  'vc.an.plain': () => generate(claude, 'plain'),
  'vc.an.cached': () => generate(claude, 'cached'),
  'vc.an.cachewrite': () => generate(claude, 'cachewrite'),
  'vc.an.thinking': () => generate(claude, 'thinking'),
  'vc.an.stream': () => drain(claude, 'stream_usage'),
  'vc.an.err529': () => generate(claude, 'err529'),
  'vc.oa.agent': () => generate(openai.chat('gpt-4o-mini'), 'tool', agent),
  'vc.an.agent_stream': () => drain(claude, 'tool', agent),
  'vc.oa.together': () => Promise.all([1, 2].map(() => generate(openai.chat('gpt-5'), 'cached'))),
  'vc.emb': () =>
    embed({ model: openai.embedding('text-embedding-3-small'), value: 'hi scenario:embeddings', telemetry }),
}

const tracer = trace.getTracer('testcase', '1')
for (const [name, call] of Object.entries(CASES)) {
  const root = tracer.startSpan('case', { attributes: { 'test.case': name } })
  try {
    await context.with(trace.setSpan(context.active(), root), call)
  } catch (error) {
    console.error(`${name}: ${String(error.stack).slice(0, name.includes('err') ? 120 : 600)}`)
  }
  root.end()
}
