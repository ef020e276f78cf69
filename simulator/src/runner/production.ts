/**
 * What the manifest's own settings save, computed: the plant's models read for an hour of simulated time by the pure
 * parts of the reader, aggregated, judged and forwarded by those of the other modules, and metered as in a run.
 */
import { aggregatorConfig } from '@weir/aggregator/config'
import { type AggregatorConfig } from '@weir/aggregator/config'
