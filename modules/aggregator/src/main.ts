import { runModule } from '@weir/lib/host'
import { aggregator } from './module.ts'

await runModule(aggregator)
