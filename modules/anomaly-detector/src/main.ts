import { runModule } from '@weir/lib/host'
import { anomalyDetector } from './module.ts'

await runModule(anomalyDetector)
