/** Seeds whose schedules once broke a promise, with what was wrong in the program. They are simulated in every run of the tests. */
export const FAILED_ONCE: readonly (readonly [seed: number, fault: string])[] = [
  [9, 'a worker that took over work waited for averages that it had already'],
  [40, 'a worker that was set aside in the evaluation was asked to leave its ring'],
  [88, 'a worker that took over work waited for averages that it had already'],
  [135, 'a worker was lost for a deadline that had begun before it had anything to do'],
  [215, 'a worker was lost for a deadline that had begun before it had anything to do'],
  [365, 'a worker that was set aside in the evaluation was asked to leave its ring'],
  [1010, 'the coordinator was busy for ever with a silent connection'],
  [1185, 'workers were told that a run is over before its last checkpoint was written'],
];
