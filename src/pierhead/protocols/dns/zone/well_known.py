"""Words for protocols and ports in WKS records (RFC 1035 §3.4.2), the same on every machine.

IANA's names and the aliases in services files, for what hosts announced in such records: ports
below 1024. A name stands for one number, whichever protocol carries it; all other numbers are
written as digits.
"""

from __future__ import annotations

from typing import Final

__all__ = ["PORTS", "PROTOCOLS"]


def _numbers(texts: str) -> dict[bytes, int]:
    """Parse words of the form ``25:smtp,mail`` into numbers by lower-case name."""
    found = {}
    for text in texts.split():
        number, _, names = text.partition(":")
        for name in names.split(","):
            found[name.encode()] = int(number)
    return found


PROTOCOLS: Final = _numbers("""
    1:icmp 2:igmp 3:ggp 4:ipv4,ipencap 5:st 6:tcp 8:egp 9:igp 12:pup 17:udp 20:hmp 22:xns-idp
    27:rdp 29:iso-tp4 33:dccp 36:xtp 41:ipv6 46:rsvp 47:gre 50:esp 51:ah 58:ipv6-icmp 81:vmtp
    88:eigrp 89:ospf,ospfigp 94:ipip 103:pim 108:ipcomp 112:vrrp 115:l2tp 132:sctp 136:udplite
""")
PORTS: Final = _numbers("""
    1:tcpmux 7:echo 9:discard,sink,null 11:systat,users 13:daytime 15:netstat 17:qotd,quote
    19:chargen,ttytst,source 20:ftp-data 21:ftp 22:ssh 23:telnet 25:smtp,mail
    37:time,timserver,timeserver 39:rlp,resource 42:name,nameserver 43:whois,nicname 49:tacacs
    53:domain 57:mtp 67:bootps 68:bootpc 69:tftp 70:gopher 77:rje 79:finger 80:http,www
    87:link,ttylink 88:kerberos,kerberos-sec 95:supdup 101:hostname,hostnames
    102:iso-tsap,tsap 105:csnet-ns,cso 107:rtelnet 109:pop2,pop-2 110:pop3,pop-3
    111:sunrpc,portmapper,rpcbind 113:auth,authentication,ident,tap 115:sftp 117:uucp-path
    119:nntp,readnews,untp 123:ntp 137:netbios-ns 138:netbios-dgm 139:netbios-ssn
    143:imap,imap2 161:snmp 162:snmptrap,snmp-trap 163:cmip-man 164:cmip-agent 174:mailq
    177:xdmcp 179:bgp 194:irc 199:smux 209:qmtp 210:z39.50,z3950,wais 220:imap3 389:ldap
    443:https 445:microsoft-ds 464:kpasswd 500:isakmp 512:exec,biff,comsat 513:login,who,whod
    514:shell,cmd,syslog 515:printer,spooler 517:talk 518:ntalk 520:route,router,routed,efs
    540:uucp,uucpd 543:klogin 544:kshell,krcmd 554:rtsp 563:nntps,snntp 587:submission 631:ipp
    636:ldaps 749:kerberos-adm 853:domain-s 873:rsync 989:ftps-data 990:ftps 992:telnets
    993:imaps 995:pop3s
""")
