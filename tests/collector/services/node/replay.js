// A service that replays recorded scorings, a line of JSON each, from its input.
//
// Arguments: the OTLP address (`http://host:port`), and how many to score in a second. It says on
// its output, a line each, the id of every scoring whose span has ended; it ends when its exporter
// has delivered them all. `OTEL_*` variables say the rest.

import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { DiagConsoleLogger, DiagLogLevel, diag } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { detectResources, envDetector } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';

// How long the exporter tries a batch again; its default of 10 is little for a busy machine.
const PATIENCE_MS = 60_000;

const [address, rate] = process.argv.slice(2);

// The console's `info` and `debug` would stand among the ids.
diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.WARN);
const exporter = new OTLPTraceExporter({
  url: `${address}/v1/traces`,
  timeoutMillis: PATIENCE_MS,
});
// Queue and delay come from OTEL_BSP_*, as for every SDK; how long an export may take does, too.
const provider = new BasicTracerProvider({
  resource: detectResources({ detectors: [envDetector] }),
  spanProcessors: [new BatchSpanProcessor(exporter)],
});
const tracer = provider.getTracer('replay');

let due = performance.now();
for await (const line of createInterface({ input: process.stdin })) {
  const recorded = JSON.parse(line);
  const span = tracer.startSpan('scoring');
  span.setAttributes({
    'scoring.id': recorded.scoring_id,
    'scoring.request': recorded.request,
    'scoring.response': recorded.response,
    'scoring.response_time': recorded.response_time,
    'scoring.timestamp': recorded.timestamp,
  });
  span.end();
  process.stdout.write(`${recorded.scoring_id}\n`);
  due = Math.max(due + 1000 / rate, performance.now());
  await sleep(due - performance.now());
}
await provider.shutdown();
