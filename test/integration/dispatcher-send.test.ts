import { describeSender } from '../../services/dispatcher/send/describe-sender.ts';
import { createGotSender } from '../../services/dispatcher/send/send-with-got.ts';
import { createUndiciSender } from '../../services/dispatcher/send/send-with-undici.ts';

describeSender('a sender made with got', createGotSender);
describeSender('a sender made with undici', createUndiciSender);
